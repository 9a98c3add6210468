"""What the simulated tissues are made of: cell types with their marker genes, and domains as mixtures of cell types.

Marker genes are textbook knowledge of the field, written as human symbols, the most telling first; every one has a
mouse ortholog. Shares and densities are round figures chosen to look like tissue, not measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Genes shared by every neuron; they tell grey from white matter and nothing about layers.
NEURON = ("SNAP25", "SYT1", "STMN2", "NRGN", "VSNL1", "UCHL1", "THY1", "SYN1", "CHN1", "OLFM1")

CORTEX_MARKERS: dict[str, tuple[str, ...]] = {
    "Excitatory L2": ("LAMP5", "CUX2", "HPCAL1", "CALB1", "WFS1", "LINGO2", "SLC17A7", "CAMK2A", *NEURON),
    "Excitatory L3": ("FREM3", "ENC1", "RASGRF2", "CARTPT", "COL5A2", "CUX1", "SLC17A7", "CAMK2A", *NEURON),
    "Excitatory L4": ("RORB", "RSPO1", "SCN1B", "VAMP1", "NEFH", "KCNA1", "SLC17A7", "CAMK2A", *NEURON),
    "Excitatory L5": ("PCP4", "ETV1", "FEZF2", "BCL11B", "NEFM", "ADRA2A", "PARM1", "SULF2", "SLC17A7", *NEURON),
    "Excitatory L6": ("NTNG2", "FOXP2", "TLE4", "SYT6", "CCN2", "NR4A2", "TBR1", "OPRK1", "SLC17A7", *NEURON),
    "Inhibitory": ("GAD1", "GAD2", "SLC32A1", "SST", "VIP", "PVALB", "NPY", "RELN", *NEURON),
    "Astrocyte": ("AQP4", "GFAP", "GJA1", "SLC1A2", "SLC1A3", "ALDOC", "CLU", "FGFR3", "SOX9", "CXCL14"),
    "Oligodendrocyte": ("PLP1", "MBP", "MOBP", "MOG", "MAG", "CNP", "CLDN11", "ERMN", "OPALIN", "BCAS1", "CRYAB", "TF"),
    "OPC": ("PDGFRA", "CSPG4", "OLIG1", "OLIG2", "VCAN", "PTPRZ1"),
    "Microglia": ("CSF1R", "C1QA", "C1QB", "C1QC", "CX3CR1", "AIF1", "P2RY12", "TREM2"),
    "Endothelial": ("CLDN5", "FLT1", "PECAM1", "VWF", "ITM2A", "SLC2A1"),
}

TUMOUR_MARKERS: dict[str, tuple[str, ...]] = {
    "Tumour": ("ERBB2", "EPCAM", "KRT19", "KRT18", "KRT8", "GATA3", "ESR1", "MUC1", "AGR2", "CDH1", "XBP1", "MKI67"),
    "Hypoxic tumour": ("CA9", "VEGFA", "NDRG1", "SLC2A1", "ADM", "BNIP3", "EPCAM", "KRT19", "KRT18", "KRT8", "CDH1"),
    "Fibroblast": ("COL1A1", "COL1A2", "COL3A1", "DCN", "LUM", "FAP", "POSTN", "SPARC", "FBLN1", "THY1", "PDGFRB"),
    "T cell": ("CD3D", "CD3E", "CD2", "IL7R", "CD8A", "CD4", "PTPRC", "LCK", "GZMK"),
    "B cell": ("MS4A1", "CD79A", "CD79B", "JCHAIN", "MZB1", "CXCR5", "PTPRC", "CD37"),
    "Macrophage": ("CD68", "CD163", "CSF1R", "C1QA", "C1QB", "C1QC", "TYROBP", "MRC1", "PTPRC"),
    "Adipocyte": ("ADIPOQ", "PLIN1", "PLIN4", "FABP4", "LPL", "CIDEC", "LEP", "PPARG"),
    "Endothelial": ("PECAM1", "VWF", "CDH5", "CLDN5", "KDR", "PLVAP", "EGFL7", "EMCN"),
    "Duct epithelium": ("KRT5", "KRT14", "KRT17", "TP63", "OXTR", "KIT", "ELF5", "EPCAM", "KRT8", "CDH1"),
    "Smooth muscle": ("ACTA2", "MYH11", "TAGLN", "DES", "CNN1", "RGS5", "MYLK", "PDGFRB"),
}


@dataclass(frozen=True)
class Tissue:
    """A kind of tissue.

    Attributes
    ----------
    markers
        Marker genes of each cell type.
    domains
        Mixture of cell types in each domain: shares that sum to 1.
    size
        Relative size of each domain: thickness of a layer, or number of patches.
    density
        Cells per area in each domain, relative to the densest.
    """

    markers: dict[str, tuple[str, ...]]
    domains: dict[str, dict[str, float]]
    size: dict[str, float]
    density: dict[str, float]

    def composition(self, names: list[str]) -> NDArray[np.float64]:
        """Shares of the cell types (columns) in the domains `names` (rows)."""
        return np.array([[self.domains[name].get(kind, 0.0) for kind in self.markers] for name in names])


CORTEX = Tissue(
    markers=CORTEX_MARKERS,
    domains={
        "Layer1": {
            "Astrocyte": 0.42, "Inhibitory": 0.14, "Excitatory L2": 0.13, "Oligodendrocyte": 0.06, "OPC": 0.07,
            "Microglia": 0.07, "Endothelial": 0.11,
        },
        "Layer2": {
            "Excitatory L2": 0.42, "Excitatory L3": 0.16, "Inhibitory": 0.16, "Astrocyte": 0.13,
            "Oligodendrocyte": 0.03, "OPC": 0.03, "Microglia": 0.03, "Endothelial": 0.04,
        },
        "Layer3": {
            "Excitatory L2": 0.12, "Excitatory L3": 0.45, "Excitatory L4": 0.07, "Inhibitory": 0.13, "Astrocyte": 0.10,
            "Oligodendrocyte": 0.05, "OPC": 0.02, "Microglia": 0.02, "Endothelial": 0.04,
        },
        "Layer4": {
            "Excitatory L3": 0.15, "Excitatory L4": 0.42, "Excitatory L5": 0.06, "Inhibitory": 0.15, "Astrocyte": 0.09,
            "Oligodendrocyte": 0.06, "OPC": 0.02, "Microglia": 0.02, "Endothelial": 0.03,
        },
        "Layer5": {
            "Excitatory L4": 0.08, "Excitatory L5": 0.42, "Excitatory L6": 0.10, "Inhibitory": 0.13, "Astrocyte": 0.09,
            "Oligodendrocyte": 0.10, "OPC": 0.03, "Microglia": 0.02, "Endothelial": 0.03,
        },
        "Layer6": {
            "Excitatory L5": 0.08, "Excitatory L6": 0.43, "Inhibitory": 0.10, "Astrocyte": 0.11,
            "Oligodendrocyte": 0.19, "OPC": 0.03, "Microglia": 0.03, "Endothelial": 0.03,
        },
        "WM": {
            "Oligodendrocyte": 0.60, "Astrocyte": 0.17, "OPC": 0.06, "Microglia": 0.06, "Excitatory L6": 0.05,
            "Inhibitory": 0.03, "Endothelial": 0.03,
        },
    },
    size={"Layer1": 0.11, "Layer2": 0.08, "Layer3": 0.24, "Layer4": 0.08, "Layer5": 0.16, "Layer6": 0.16, "WM": 0.17},
    density={"Layer1": 0.45, "Layer2": 1.0, "Layer3": 0.8, "Layer4": 1.0, "Layer5": 0.7, "Layer6": 0.8, "WM": 0.9},
)  # fmt: skip

TUMOUR = Tissue(
    markers=TUMOUR_MARKERS,
    domains={
        "Tumour": {
            "Tumour": 0.60, "Hypoxic tumour": 0.05, "Fibroblast": 0.14, "Macrophage": 0.07, "T cell": 0.06,
            "B cell": 0.02, "Endothelial": 0.06,
        },
        "Stroma": {
            "Fibroblast": 0.54, "Tumour": 0.07, "Macrophage": 0.10, "T cell": 0.07, "B cell": 0.04, "Endothelial": 0.09,
            "Smooth muscle": 0.06, "Adipocyte": 0.03,
        },
        "Immune": {
            "T cell": 0.36, "B cell": 0.27, "Macrophage": 0.13, "Fibroblast": 0.13, "Tumour": 0.05, "Endothelial": 0.06,
        },
        "Adipose": {
            "Adipocyte": 0.55, "Fibroblast": 0.18, "Macrophage": 0.10, "Endothelial": 0.09, "T cell": 0.04,
            "Smooth muscle": 0.04,
        },
        "Hypoxic tumour": {
            "Hypoxic tumour": 0.48, "Tumour": 0.24, "Fibroblast": 0.10, "Macrophage": 0.12, "T cell": 0.02,
            "Endothelial": 0.04,
        },
        "Ducts": {
            "Duct epithelium": 0.52, "Tumour": 0.05, "Fibroblast": 0.22, "Smooth muscle": 0.09, "Macrophage": 0.04,
            "T cell": 0.03, "Endothelial": 0.05,
        },
        "Vessels": {
            "Endothelial": 0.42, "Smooth muscle": 0.26, "Fibroblast": 0.20, "Macrophage": 0.07, "T cell": 0.05,
        },
        "Muscle": {
            "Smooth muscle": 0.60, "Fibroblast": 0.20, "Endothelial": 0.11, "Macrophage": 0.05, "T cell": 0.04,
        },
    },
    size={
        "Tumour": 0.28, "Stroma": 0.24, "Immune": 0.12, "Adipose": 0.12, "Hypoxic tumour": 0.10, "Ducts": 0.08,
        "Vessels": 0.08, "Muscle": 0.08,
    },
    density={
        "Tumour": 1.0, "Stroma": 0.5, "Immune": 1.0, "Adipose": 0.25, "Hypoxic tumour": 0.8, "Ducts": 0.8,
        "Vessels": 0.6, "Muscle": 0.6,
    },
)  # fmt: skip
