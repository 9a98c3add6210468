"""A loopback server that publishes a small slice in the formats of the real ones."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.sparse import csc_matrix

from semst.datasets._dlpfc import load_slice
from semst.datasets._registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anndata import AnnData

SAMPLE = "151673"
BARCODES = ["AAAC-1", "CCCG-1", "GGGT-1", "TTTA-1", "ACGT-1"]  # under tissue; the matrix has them in this order
SYMBOLS = ["PLP1", "TBCE", "SNAP25", "TBCE"]  # two genes share a symbol, as in the real files
GENE_IDS = ["ENSG00000123560", "ENSG00000116957", "ENSG00000132639", "ENSG00000284770"]
COUNTS = np.array([[5, 0, 1, 0], [0, 2, 0, 3], [7, 0, 0, 1], [0, 0, 4, 0], [1, 1, 1, 1]])  # spots x genes
LAYERS = {"AAAC-1": "L1", "CCCG-1": "WM", "GGGT-1": "L1", "ACGT-1": "WM"}  # TTTA-1 is unlabelled
# barcode, in_tissue, array_row, array_col, pxl_row, pxl_col; one spot off tissue, and another order than the matrix
POSITIONS = [
    ("TTTA-1", 1, 0, 0, 100, 110),
    ("CATG-1", 0, 0, 2, 100, 250),
    ("GGGT-1", 1, 1, 1, 220, 180),
    ("CCCG-1", 1, 1, 3, 220, 320),
    ("AAAC-1", 1, 2, 0, 340, 110),
    ("ACGT-1", 1, 2, 2, 340, 250),
]


def write_counts(path: Path, *, version: int = 3, counts: np.ndarray = COUNTS) -> None:
    """Write a 10x matrix: genes x spots by columns, in the layout of Cell Ranger `version`."""
    matrix = csc_matrix(counts.T.astype(np.int32))
    names = ("features/id", "features/name") if version == 3 else ("genes", "gene_names")
    with h5py.File(path, "w") as handle:
        group = handle.create_group("matrix" if version == 3 else "GRCh38")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array(matrix.shape, dtype=np.int32)
        group["barcodes"] = np.array(BARCODES[: matrix.shape[1]], dtype="S")
        group[names[0]], group[names[1]] = np.array(GENE_IDS, dtype="S"), np.array(SYMBOLS, dtype="S")


def write_image(path: Path, *, longest_side: int) -> None:
    pixels = np.arange(longest_side * longest_side // 2 * 3, dtype=np.uint32) % 251
    Image.fromarray(pixels.astype(np.uint8).reshape(longest_side // 2, longest_side, 3)).save(path)


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    """Serves a folder; the server says which paths to answer wrongly."""

    def __init__(self, *args, published: Published, **kwargs):
        self.published = published
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.published.requests.append(name)
        file = self.published.folder / name
        if not file.exists():
            self.send_error(404)
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name in self.published.cut_short else content)

    def log_message(self, *args) -> None:
        pass


@dataclass
class Published:
    """The published files, the registry that names them, and a cache folder for their copies."""

    folder: Path
    cache: Path
    registry: Path
    server: ThreadingHTTPServer | None = None
    requests: list[str] = field(default_factory=list)
    cut_short: set[str] = field(default_factory=set)

    def publish(self, *, version: int = 3) -> None:
        self.folder.mkdir()
        write_counts(self.folder / "counts.h5", version=version)
        write_image(self.folder / "hires.png", longest_side=40)
        write_image(self.folder / "lowres.png", longest_side=12)
        rows = [",".join(map(str, row)) for row in POSITIONS]
        (self.folder / "positions.txt").write_text("\n".join(rows) + "\n")
        lines = [f"{barcode}\t{SAMPLE}\t{layer}" for barcode, layer in LAYERS.items()] + ["AAAC-1\t151507\tL3"]
        (self.folder / "layers.tsv").write_text("\n".join(lines) + "\n")
        self.serve()
        self.register()

    def register(self) -> None:
        """Write a registry of the packaged one's form for the small files, as they are now."""
        port = self.server.server_address[1]
        place = {
            "counts": "counts.h5",
            "hires": "hires.png",
            "lowres": "lowres.png",
            "positions": "positions.txt",
            "labels": "layers.tsv",
        }
        entry = {
            "title": "A small slice",
            "citation": "Nobody (2020).",
            "doi": "10.0/0",
            "licence": "none",
            "homepage": "http://localhost",
            "n_genes": 4,
            "n_array_spots": 6,
            "n_label_rows": 5,
            "hires_side": 40,
            "lowres_side": 12,
            "tissue_hires_scalef": 0.1,
            "tissue_lowres_scalef": 0.03,
            "files": {
                role: {"url": f"http://127.0.0.1:{port}/{name}", "file": f"dlpfc/{{sample_id}}_{name}"}
                for role, name in place.items()
            },
            "samples": {
                SAMPLE: {
                    "git_blob": blob_id((self.folder / "counts.h5").read_bytes()),
                    "n_spots": 5,
                    "n_labelled": 4,
                    "n_domains": 2,
                    "spot_diameter_fullres": 70.0,
                }
            },
        }
        self.registry.write_text(yaml.safe_dump({"dlpfc": entry}))

    def serve(self, port: int = 0) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, published=self))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def load(self, *, image: bool = True) -> AnnData:
        dataset = load_registry(self.registry)["dlpfc"]
        return load_slice(dataset, SAMPLE, image=image, folder=self.cache, progress=False)

    def cached(self) -> set[str]:
        return {file.name for file in self.cache.rglob("*") if file.is_file()}


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    """A small slice, published on loopback."""
    small = Published(folder=tmp_path / "web", cache=tmp_path / "cache", registry=tmp_path / "registry.yaml")
    small.publish()
    yield small
    small.stop()
