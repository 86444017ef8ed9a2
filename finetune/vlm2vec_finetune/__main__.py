"""`python -m vlm2vec_finetune`, which is what torchrun starts."""

from vlm2vec_finetune.cli import main

if __name__ == "__main__":
    main()
