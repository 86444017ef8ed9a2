"""Captions of images: read from PNG text, EXIF and XMP as other programs write them, and never a danger."""

import pytest
from PIL import Image, PngImagePlugin

from vlm2vec_rag import samples
from vlm2vec_rag.media.captions import Caption, caption_of
from vlm2vec_rag.media.images import ImageFile
from vlm2vec_rag.media.settings import MediaLimits, MediaSettings
from vlm2vec_rag.media.sniff import sniff

IMAGE_DESCRIPTION = 0x010E
MANY = 1000

# as Lightroom writes it
XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
  <dc:title><rdf:Alt>
   <rdf:li xml:lang="de">Hafen</rdf:li><rdf:li xml:lang="x-default">Harbour</rdf:li>
  </rdf:Alt></dc:title>
  <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Boats in the évening</rdf:li></rdf:Alt></dc:description>
 </rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def read(path, max_chars=MANY):
    with Image.open(path) as image:
        image.load()
        return caption_of(image, max_chars)


def save(path, **options):
    Image.new("RGB", (8, 8), "teal").save(path, **options)
    return path


def exif(description):
    fields = Image.Exif()
    fields[IMAGE_DESCRIPTION] = description
    return fields


def png_text(**fields):
    text = PngImagePlugin.PngInfo()
    for key, value in fields.items():
        text.add_itxt(key, value)
    return text


def test_png_title_and_description(tmp_path):
    path = save(tmp_path / "a.png", pnginfo=png_text(Title="Lighthouse", Description="Red and white, ganz schön"))
    assert read(path) == Caption("Lighthouse", "Red and white, ganz schön")
    assert read(path).text == "Lighthouse\nRed and white, ganz schön"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_exif_description(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", exif=exif("A cup of coffee"))
    assert read(path) == Caption("", "A cup of coffee")


def test_png_text_may_follow_the_pixels(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add(b"tEXt", b"Title\0Lighthouse", after_idat=True)
    assert read(save(tmp_path / "a.png", pnginfo=text)).title == "Lighthouse"


def test_an_exif_description_in_utf_8_is_not_read_as_latin_1(tmp_path):
    path = save(tmp_path / "a.jpg", exif=exif("PLACEHOLDER--"))
    path.write_bytes(path.read_bytes().replace(b"PLACEHOLDER--", "Ein Café 東".encode()))
    assert read(path).description == "Ein Café 東"


def test_an_exif_description_in_latin_1_stays(tmp_path):
    path = save(tmp_path / "a.jpg", exif=exif("PLACEHOLDER"))
    path.write_bytes(path.read_bytes().replace(b"PLACEHOLDER", "Café à Nîme".encode("latin-1")))
    assert read(path).description == "Café à Nîme"


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_xmp_in_the_default_language(tmp_path, suffix):
    assert read(save(tmp_path / f"a.{suffix}", xmp=XMP.encode())) == Caption("Harbour", "Boats in the évening")


def test_xmp_in_a_png(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP)
    assert read(save(tmp_path / "a.png", pnginfo=text)) == Caption("Harbour", "Boats in the évening")


def test_xmp_in_a_tiff(tmp_path):
    assert read(save(tmp_path / "a.tiff", tiffinfo={700: XMP.encode()})) == Caption("Harbour", "Boats in the évening")


def test_a_blank_exif_description_gives_way_to_xmp(tmp_path):
    path = save(tmp_path / "a.jpg", exif=exif("          "), xmp=XMP.encode())
    assert read(path).description == "Boats in the évening"


def test_an_image_without_words_has_none(tmp_path):
    assert read(save(tmp_path / "a.png")) == Caption()
    assert read(save(tmp_path / "a.png")).text == ""


def test_a_description_that_repeats_the_title_is_said_once():
    assert Caption("Sailboat", "Sailboat").text == "Sailboat"


def test_a_long_caption_is_cut(tmp_path):
    path = save(tmp_path / "a.png", pnginfo=png_text(Title="t" * 50, Description="d" * 50))
    assert read(path, max_chars=20) == Caption("t" * 20, "d" * 20)


def test_control_characters_are_left_out(tmp_path):
    assert read(save(tmp_path / "a.png", pnginfo=png_text(Title="\x07Light\x01house\n"))).title == "Lighthouse"


@pytest.mark.parametrize(
    "xmp",
    [b"", b"<x:xmpmeta", b"\xff\xfe\x00", XMP[:-200].encode()],
    ids=["empty", "no end", "binary", "cut"],
)
def test_broken_xmp_counts_as_none(tmp_path, xmp):
    assert read(save(tmp_path / "a.jpg", xmp=xmp)) == Caption()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xmp_that_defines_entities_is_not_parsed(tmp_path, encoding):
    # the beginning of a «billion laughs»: with ten entities of ten each, these few bytes would become gigabytes
    doctype = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    hostile = XMP.replace("<x:xmpmeta", doctype + "<x:xmpmeta", 1).replace("Harbour", "&b;")
    assert read(save(tmp_path / "a.jpg", xmp=hostile.encode(encoding))) == Caption()


@pytest.mark.parametrize(
    ("name", "title", "text"),
    [
        ("espresso.jpg", "", "A cup of coffee on a red saucer, with a spoon, on a wooden table"),
        ("lighthouse.png", "Lighthouse", "Lighthouse\nRed and white striped lighthouse"),
        ("emperor-penguin.png", "Emperor Penguin", "Emperor Penguin"),
    ],
)
def test_an_image_item_carries_its_caption(name, title, text):
    path = samples.folder() / name
    file = ImageFile(str(path), sniff(path), MediaSettings(), MediaLimits())
    item = file.image()
    file.close()
    assert (item.title, item.text) == (title, text)
