"""Build the sample collection again from the packages it comes from.

    python tools/build_samples.py

Writes `vlm2vec_rag/samples/files/`; SOURCES.md there says what each file is. Not made here are the licence texts, and
the subtitles `big-buck-bunny.srt`, which were written by hand, watching the film.

Needs Debian 12 (`apt-get`, `dpkg-deb`; run `apt-get update` first), `ffmpeg`, and `pip install pikepdf pillow`.
Downloads 420 MB and keeps them in `--downloads` for the next time. Takes about two minutes.

Documents are copied or cut without being rendered again, and photographs that were JPEG keep their pixels. What is
compressed anew (the film, four images) looks the same but not to the byte under other versions of ffmpeg and Pillow.
"""

# ruff: noqa: S603, S607  the programs run here are named above, their arguments are written below

from __future__ import annotations

import argparse
import gzip
import hashlib
import logging
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pikepdf
from PIL import Image, ImageChops, PngImagePlugin

log = logging.getLogger("build_samples")

SAMPLES = Path(__file__).parents[1] / "vlm2vec_rag" / "samples"
FILES = SAMPLES / "files"
LICENCES = SAMPLES / "licences"

# the exact files the collection was made from: another version would bring other pages
DEBIAN = {
    "openclipart-png=1:0.18+dfsg-19": "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    "python-reportlab-doc=3.6.12-1+deb12u1": "f7d27c209eb0c2063b604f34414681d0694a83280aa1668f0bccc685f607131c",
    "r-cran-colorspace=2.1-0+dfsg-1": "af4a3429164b01d60ea687a43613203e41eab039ae3db12b4269ca6dbf13f484",
    "texlive-lang-english=2022.20230122-1": "85930474bdec37bc156906642b0546c9d379b2cda4ed469c1bfe924364c1876f",
}
PYPI = {
    "moviepy==2.2.1": "c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1",
    "scikit-image==0.18.3": "bfa6eb04dc0b8773043f9994eccd8c517d713cd0f9e960dcb6754e19c1abceb1",
    "scikit-learn==1.9.1": "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
}
PIP_OPTIONS = {
    "moviepy==2.2.1": ["--no-binary", ":all:"],  # the film is in the source archive alone
    # later wheels leave the photographs out
    "scikit-image==0.18.3": ["--python-version", "3.9", "--platform", "manylinux2010_x86_64"],
    "scikit-learn==1.9.1": ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"],
}

MANUAL_COVER = 1
MANUAL_PAGES = range(107, 122)  # 11.5 Axes to 11.10 Legends
MANUAL_OUTLINE = {
    1: "ReportLab PDF Library: User Guide",
    107: "11.5 Axes",
    111: "11.6 Bar Charts",
    114: "11.7 Line Charts",
    115: "11.8 Line Plots",
    117: "11.9 Pie Charts",
    121: "11.10 Legends",
}

FILM_START_S, FILM_SECONDS = 15.75, 74.0  # from one change of scene to another

IMAGE_SIDE = 640


@dataclass(frozen=True)
class Photo:
    """A photograph, with the caption that is written into its EXIF ImageDescription."""

    source: str
    caption: str
    artist: str
    rights: str


PHOTOS = {
    "cat.jpg": Photo(
        "skimage/data/chelsea.png", "A tabby cat with green eyes looks to one side", "Stefan van der Walt", "CC0 1.0"
    ),
    "dahlia.jpg": Photo(
        "sklearn/datasets/images/flower.jpg", "An orange dahlia in full bloom", "vultilion", "CC BY 2.0"
    ),
    "espresso.jpg": Photo(
        "skimage/data/coffee.png",
        "A cup of coffee on a red saucer, with a spoon, on a wooden table",
        "Rachel Michetti",
        "CC0 1.0",
    ),
    "hubble-deep-field.jpg": Photo(
        "skimage/data/hubble_deep_field.jpg",
        "Thousands of distant galaxies in the Hubble eXtreme Deep Field",
        "NASA; ESA; G. Illingworth, D. Magee, P. Oesch, R. Bouwens and the HUDF09 Team",
        "Public domain",
    ),
    "pagoda.jpg": Photo(
        "sklearn/datasets/images/china.jpg",
        "A Chinese pagoda with tiled roofs among trees above a lake",
        "danielbuechele",
        "CC BY 2.0",
    ),
    "rocket.jpg": Photo(
        "skimage/data/rocket.jpg", "A Falcon 9 rocket on its launch pad in the evening", "SpaceX", "CC0 1.0"
    ),
}


@dataclass(frozen=True)
class Clipart:
    """A drawing, with the title and the description that its author gave it."""

    source: str
    title: str
    author: str
    description: str = ""


CLIPART = {
    "balloons.png": Clipart("recreation/party/balloons_01.png", "balloons", "Jean-Victor Balin"),
    "bicycle.png": Clipart("transportation/vehicles/bicycle_01.png", "Bicycle", "Nathan Eady"),
    "emperor-penguin.png": Clipart("animals/emperor_penguin_ralf_ste_01.png", "Emperor Penguin", "Ralf Stephan"),
    "lighthouse.png": Clipart(
        "buildings/lighthouse_matthew_gates_.png", "Lighthouse", "Matthew Gates", "Red and white striped lighthouse"
    ),
}


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Build the sample collection again from the packages it comes from.")
    parser.add_argument("--downloads", type=Path, default=Path("build/samples"), help="where packages are kept")
    downloads = parser.parse_args().downloads.resolve()
    for folder in (downloads, FILES, LICENCES):
        folder.mkdir(parents=True, exist_ok=True)
    unpacked = fetch(downloads)
    documents(unpacked)
    film(unpacked)
    photographs(unpacked)
    clip_art(unpacked)
    log.info("%.2f MB in %s", sum(path.stat().st_size for path in FILES.iterdir()) / 1e6, FILES)


def fetch(downloads: Path) -> Path:
    """Download the packages that are not there yet, check them, and unpack them side by side."""
    unpacked = downloads / "unpacked"
    for requirement, sha256 in (DEBIAN | PYPI).items():
        if not list(downloads.glob(f"*.{sha256[:12]}")):
            log.info("downloading %s", requirement)
            incoming = downloads / "incoming"
            shutil.rmtree(incoming, ignore_errors=True)
            incoming.mkdir()
            if requirement in DEBIAN:
                subprocess.run(["apt-get", "download", "-qq", requirement], cwd=incoming, check=True)
            else:
                pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
                options = PIP_OPTIONS[requirement]
                only_wheels = [] if "--no-binary" in options else ["--only-binary", ":all:"]
                subprocess.run([*pip, *only_wheels, *options, requirement], cwd=incoming, check=True)
            (package,) = incoming.iterdir()
            found = hashlib.sha256(package.read_bytes()).hexdigest()
            if found != sha256:
                raise SystemExit(f"{package.name} has SHA-256 {found}, expected {sha256}: its source has changed")
            unpack(package, unpacked)
            package.rename(downloads / f"{package.name}.{sha256[:12]}")
    return unpacked


def unpack(package: Path, folder: Path) -> None:
    if package.suffix == ".deb":
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    else:
        shutil.unpack_archive(package, folder, "zip" if package.suffix == ".whl" else "gztar")


def documents(unpacked: Path) -> None:
    """The reference card and the article as they are; the manual's cover and its pages on charts."""
    card = unpacked / "usr/share/doc/texlive-doc/latex/latexcheat"
    shutil.copyfile(card / "latexsheet.pdf", FILES / "latexsheet.pdf")
    # the LaTeX Project Public License wants the work kept whole, so its source and README come along
    (LICENCES / "latexsheet").mkdir(exist_ok=True)
    shutil.copyfile(card / "README", LICENCES / "latexsheet" / "README")
    source = gzip.decompress((card / "latexsheet.tex.gz").read_bytes())
    (LICENCES / "latexsheet" / "latexsheet.tex").write_bytes(source)

    article = unpacked / "usr/lib/R/site-library/colorspace/doc/hcl-colors.pdf"
    shutil.copyfile(article, FILES / "hcl-colors.pdf")

    manual = unpacked / "usr/share/doc/python-reportlab-doc/reportlab-userguide.pdf"
    cut_manual(manual, FILES / "reportlab-charts.pdf")


def cut_manual(manual: Path, target: Path) -> None:
    """Keep some pages, the numbers printed on them as labels, and their entries in the outline."""
    with pikepdf.open(manual) as whole, pikepdf.new() as part:
        kept = [MANUAL_COVER, *MANUAL_PAGES]
        for number in kept:
            part.pages.append(whole.pages[number - 1])
        decimal = pikepdf.Name.D
        labels = [0, pikepdf.Dictionary(S=decimal), 1, pikepdf.Dictionary(S=decimal, St=MANUAL_PAGES.start)]
        part.Root.PageLabels = pikepdf.Dictionary(Nums=pikepdf.Array(labels))
        with part.open_outline() as outline:
            for number, title in MANUAL_OUTLINE.items():
                outline.root.append(pikepdf.OutlineItem(title, kept.index(number)))
        with part.open_metadata(set_pikepdf_as_editor=False) as metadata:
            metadata["dc:title"] = "ReportLab PDF Library User Guide: charts (pages 1 and 107 to 121)"
            metadata["dc:creator"] = ["the ReportLab Team"]
        part.remove_unreferenced_resources()
        part.save(target, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def film(unpacked: Path) -> None:
    """The opening of Big Buck Bunny after its first landscape, at a quarter of the pixels."""
    archive = unpacked / "moviepy-2.2.1/docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip"
    member = "moviepy_10_minutes/resources/bbb.mp4"
    with zipfile.ZipFile(archive) as zipped:
        whole = Path(zipped.extract(member, unpacked))
    cut = ["-ss", str(FILM_START_S), "-i", str(whole), "-t", str(FILM_SECONDS), "-map", "0:v:0", "-map", "0:a:0"]
    image = ["-vf", "scale=640:360:flags=lanczos", "-pix_fmt", "yuv420p"]
    image += ["-c:v", "libx264", "-preset", "veryslow", "-crf", "30", "-g", "120"]
    sound = ["-c:a", "aac", "-ac", "1", "-b:a", "48k"]
    credit = ["-map_metadata", "-1", "-metadata", "title=Big Buck Bunny (excerpt, 0:15.75 to 1:29.75)"]
    credit += ["-metadata", "artist=Blender Foundation", "-metadata", "copyright=CC BY 3.0, www.bigbuckbunny.org"]
    target = ["-movflags", "+faststart", "-fflags", "+bitexact", str(FILES / "big-buck-bunny.mp4")]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *cut, *image, *sound, *credit, *target], check=True)


def photographs(unpacked: Path) -> None:
    """Each with its caption. A JPEG of a fitting size is not compressed again."""
    for name, photo in PHOTOS.items():
        exif = Image.Exif()
        exif[0x010E], exif[0x013B], exif[0x8298] = photo.caption, photo.artist, photo.rights
        source = unpacked / photo.source
        with Image.open(source) as image:
            if image.format == "JPEG" and max(image.size) <= IMAGE_SIDE:
                (FILES / name).write_bytes(with_exif(source.read_bytes(), exif.tobytes()))
                continue
            small = image.convert("RGB")
        small.thumbnail((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS)
        small.save(FILES / name, quality=88, optimize=True, exif=exif)


def with_exif(jpeg: bytes, exif: bytes) -> bytes:
    """Put an EXIF segment behind the start marker, and leave every other byte as it is."""
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def clip_art(unpacked: Path) -> None:
    """Each cut to the drawing and laid on white, with its title as PNG text."""
    for name, drawing in CLIPART.items():
        with Image.open(unpacked / "usr/share/openclipart/png" / drawing.source) as image:
            rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        flat = Image.alpha_composite(white, rgba).convert("RGB")
        drawn = ImageChops.difference(flat, Image.new("RGB", flat.size, "white")).getbbox()
        cut = flat.crop(drawn)
        cut.thumbnail((IMAGE_SIDE - 48, IMAGE_SIDE - 48), Image.Resampling.LANCZOS)
        framed = Image.new("RGB", (cut.width + 48, cut.height + 48), "white")
        framed.paste(cut, (24, 24))
        text = PngImagePlugin.PngInfo()
        fields = {"Title": drawing.title, "Description": drawing.description, "Author": drawing.author}
        for key, value in (fields | {"Copyright": "Public domain"}).items():
            if value:
                text.add_itxt(key, value)
        framed.quantize(256, dither=Image.Dither.NONE).save(FILES / name, optimize=True, pnginfo=text)


if __name__ == "__main__":
    main()
