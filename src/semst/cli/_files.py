"""Reading and writing of whole files: nothing appears under its name before it is complete."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semst._folders import move_all
from semst._keys import SPATIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anndata import AnnData
    from spatialdata import SpatialData

Format = Literal["h5ad", "anndata zarr", "spatialdata zarr"]

PICTURES = (".png", ".pdf", ".svg")


def find_format(path: Path) -> Format:
    """Tell what an input is by its name and, for zarr, by what its root says of itself.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If it is neither.
    """
    if not path.exists():
        message = f"there is no {path}."
        raise FileNotFoundError(message)
    if path.suffix == ".h5ad" and path.is_file():
        return "h5ad"
    if path.suffix == ".zarr" and path.is_dir():
        return _zarr_format(path)
    message = f"{path} is neither a .h5ad file nor a .zarr folder."
    raise ValueError(message)


def _zarr_format(path: Path) -> Format:
    import zarr

    try:
        attributes = dict(zarr.open_group(path, mode="r").attrs)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read as zarr: {error}"
        raise ValueError(message) from error
    if SPATIAL.attributes in attributes:
        return "spatialdata zarr"
    if attributes.get("encoding-type") == "anndata":
        return "anndata zarr"
    message = f"{path} holds neither an AnnData nor a SpatialData."
    raise ValueError(message)


def read(path: Path, kind: Format) -> AnnData | SpatialData:
    """Load an AnnData, or a SpatialData whose images stay on disk.

    Raises
    ------
    ValueError
        If the file is damaged or something else.
    """
    try:
        if kind == "h5ad":
            from anndata import read_h5ad

            return read_h5ad(path)
        if kind == "anndata zarr":
            from anndata import read_zarr

            return read_zarr(path)
        import spatialdata

        return spatialdata.read_zarr(path)
    except Exception as error:
        message = f"{path} cannot be read ({kind}): {type(error).__name__}: {error}"
        raise ValueError(message) from error


def write(data: AnnData | SpatialData, path: Path) -> None:
    """Write an AnnData or SpatialData in the format that the name asks for."""
    from anndata import AnnData

    if not isinstance(data, AnnData):
        data.write(path)
    elif path.suffix == ".zarr":
        data.write_zarr(path)
    else:
        data.write_h5ad(path)


def check_output(output: Path, kind: Format) -> None:
    """Refuse an output whose name says another format than the input can be written in.

    Raises
    ------
    ValueError
        If so.
    """
    allowed = (".zarr",) if kind == "spatialdata zarr" else (".h5ad", ".zarr")
    if output.suffix not in allowed:
        message = f"the output of a {kind} input must end in {' or '.join(allowed)}, got {output}."
        raise ValueError(message)


def check_picture(picture: Path) -> None:
    """Refuse a picture of a format that cannot be drawn.

    Raises
    ------
    ValueError
        If so.
    """
    if picture.suffix not in PICTURES:
        message = f"pictures end in {', '.join(PICTURES)}, got {picture}."
        raise ValueError(message)


def check_free(outputs: Iterable[Path], *, inputs: Iterable[Path] = (), overwrite: bool) -> None:
    """Refuse outputs that would destroy something, before any work is done.

    Raises
    ------
    ValueError
        If two outputs are the same, or an output is an input, lies in one, or holds one.
    FileNotFoundError
        If the folder of an output is not there.
    FileExistsError
        If an output exists and may not be overwritten, or is a folder that is no zarr.
    """
    taken = [path.resolve() for path in inputs]
    for output in outputs:
        place = output.resolve()
        if any(place == other or place in other.parents or other in place.parents for other in taken):
            message = f"{output} is the input or another output, or lies in it; choose another name."
            raise ValueError(message)
        taken.append(place)
        if not output.parent.is_dir():
            message = f"there is no folder {output.parent}; make it first."
            raise FileNotFoundError(message)
        if output.exists() and not overwrite:
            message = f"{output} exists already; choose another name, or replace it with --overwrite."
            raise FileExistsError(message)
        is_zarr = (output / "zarr.json").is_file() or (output / ".zgroup").is_file()
        if output.is_dir() and not is_zarr:
            message = f"{output} is a folder that holds no zarr; it will not be replaced."
            raise FileExistsError(message)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder, and those above it, for a block that writes into it; if that fails, none stays behind empty.

    Raises
    ------
    OSError
        If it cannot be made, or is a file.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something was kept in it, or above
            for each in new:
                each.rmdir()
        raise


@contextmanager
def staged(outputs: Iterable[Path], written: list[Path], *, overwrite: bool) -> Iterator[dict[Path, Path]]:
    """Let outputs be written elsewhere first, and move all of them into place when the block ends well.

    Parameters
    ----------
    outputs
        Where results will be.
    written
        The outputs are added to it once they are in place.
    overwrite
        Whether what is there may be replaced.

    Yields
    ------
    Where to write each output meanwhile: in a hidden folder beside it, so that moving it is a renaming. That the folder
    can be made shows before the work that the results can be written.

    Raises
    ------
    FileExistsError
        If an output has appeared meanwhile and may not be overwritten.
    OSError
        If a folder cannot be written. In all cases what was there stays.
    """
    with ExitStack() as folders:
        meanwhile = {
            output: Path(folders.enter_context(tempfile.TemporaryDirectory(prefix=".semst-", dir=output.parent)))
            / output.name
            for output in outputs
        }
        yield meanwhile
        check_free(meanwhile, overwrite=overwrite)  # hours may have passed
        move_all(meanwhile)
        written.extend(meanwhile)
