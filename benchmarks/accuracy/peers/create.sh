#!/usr/bin/env bash
# Create the environments of the peers: create.sh [FOLDER [PYTHON]], by default build/peers and python3.11.
set -u
folder=${1:-build/peers}
python=${2:-python3.11}
for file in "$(dirname "$0")"/*.txt; do
    name=$(basename "$file" .txt)
    "$python" -m venv "$folder/$name" &&
        "$folder/$name/bin/pip" install --quiet --requirement "$file" ||
        echo "$name: not installed" >&2
done
