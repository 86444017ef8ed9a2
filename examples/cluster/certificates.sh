#!/bin/sh
# An authority of one's own, and one certificate for all nodes. Put your organisation's in their place where there is one.
set -eu
cd "$(dirname "$0")"
mkdir -p tls
cd tls
openssl req -x509 -newkey rsa:3072 -nodes -days 825 -subj "/CN=vlm2vec-rag cluster" -keyout ca.key -out ca.pem
openssl req -newkey rsa:3072 -nodes -subj "/CN=qdrant" -keyout node.key -out node.csr
printf 'subjectAltName=DNS:node1,DNS:node2,DNS:node3,DNS:localhost,IP:127.0.0.1' > names
openssl x509 -req -days 825 -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out node.pem
rm names node.csr
chmod 600 ca.key
chmod 644 node.key # the container's user reads it; keep the folder to yourself
