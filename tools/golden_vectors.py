"""Write the golden vectors that `vlm2vec-rag doctor` compares with; run it after nano's weights changed.

python tools/golden_vectors.py
"""

from vlm2vec_rag import load_encoder
from vlm2vec_rag.doctor.golden import FILE, apart, read_golden, vectors_of, write_golden
from vlm2vec_rag.encoder.names import NANO

encoder = load_encoder(NANO, device="cpu", dtype="float32")
write_golden(encoder)
print(f"{FILE}: {FILE.stat().st_size:,} bytes, read back {apart(read_golden().vectors, vectors_of(encoder)):.1g} apart")
