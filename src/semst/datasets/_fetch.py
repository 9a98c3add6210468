"""Files from the network into the cache folder: whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from semst.datasets._registry import RemoteFile

T = TypeVar("T")
logger = logging.getLogger("semst")

FOLDER_VARIABLE = "SEMST_DATA_DIR"
TIMEOUT_SECONDS = 30


def git_blob_id(path: Path) -> str:
    """The id that git gives to a file's content.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    40 hexadecimal digits: the SHA-1 of ``blob <size>``, a zero byte, and the content.
    """
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Cache:
    """The files of one data set in one folder.

    A file enters the folder only after it was verified: by its git blob id where one is known, and always by reading it
    with the function that will be used on it. So a copy that is cut short, altered or not what it claims to be never
    gets in, and one that was put there by hand is held to the same test.
    """

    def __init__(self, folder: Path, files: Iterable[RemoteFile], *, progress: bool = True) -> None:
        self.folder = folder
        self.files = list(files)
        self.progress = progress

    def get(self, remote: RemoteFile, read: Callable[[Path], T]) -> T:
        """Read one file, from the folder when it is there, otherwise after downloading it.

        Parameters
        ----------
        remote
            The file.
        read
            Turns a path into a value; raises ValueError when the content is not what it should be.

        Returns
        -------
        What `read` returned.

        Raises
        ------
        ConnectionError
            The file is not in the folder and could not be downloaded.
        ValueError
            The file in the folder, or the one that the server sent, is not the registered one.
        OSError
            The folder cannot be written.
        """
        target = self.folder / remote.file
        if not target.exists():
            return self._download(remote, read)
        try:
            return _verified(target, remote, read)
        except ValueError as error:
            msg = (
                f"{target} is not the file that is published at {remote.url}: {error} "
                "Delete it and call again, or put a good copy in its place."
            )
            raise ValueError(msg) from error

    def _download(self, remote: RemoteFile, read: Callable[[Path], T]) -> T:
        import pooch
        from requests.exceptions import RequestException

        registry = pooch.create(self.folder, base_url="", registry={remote.file: None}, urls={remote.file: remote.url})
        # pooch writes to a temporary file, calls the downloader on it, and moves it into place only if nothing was
        # raised; verifying inside the downloader therefore keeps every bad copy out of the folder.
        downloader = _VerifiedDownload(remote, read, progress=self.progress)
        try:
            registry.fetch(remote.file, downloader=downloader)
        except RequestException as error:
            raise ConnectionError(self._offline_message(remote, error)) from error
        except ValueError as error:
            msg = (
                f"What {remote.url} sent is not the registered file: {error} Nothing was kept. "
                f"Call again; if it fails again, fetch the file another way and put it at {self.folder / remote.file}."
            )
            raise ValueError(msg) from error
        except OSError as error:
            msg = (
                f"the folder {str(self.folder)!r} cannot be written ({error}); name another one with path= or the "
                f"environment variable {FOLDER_VARIABLE}."
            )
            raise OSError(msg) from error
        logger.info("%s is now in %s", remote.file, self.folder)
        return downloader.value

    def _offline_message(self, remote: RemoteFile, error: Exception) -> str:
        missing = [file for file in self.files if not (self.folder / file.file).exists()]
        places = "\n".join(f"  {file.url}\n    -> {self.folder / file.file}" for file in missing)
        return (
            f"Could not download {remote.url} ({type(error).__name__}: {error}). Nothing was kept.\n"
            "Check the connection and call again. Without a network, put these files there by hand "
            f"(or name the folder that has them by path= or the environment variable {FOLDER_VARIABLE}):\n"
            f"{places}\n"
            "semst.datasets.simulated() needs no network."
        )


class _VerifiedDownload(Generic[T]):
    """A pooch downloader that also reads what it downloaded, and fails when that is not the registered file."""

    value: T

    def __init__(self, remote: RemoteFile, read: Callable[[Path], T], *, progress: bool) -> None:
        self.remote = remote
        self.read = read
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch_: Any) -> None:  # noqa: ANN401 - pooch has no types
        import pooch

        download = pooch.HTTPDownloader(progressbar=self.progress, timeout=TIMEOUT_SECONDS)
        download(url, output_file, pooch_)
        self.value = _verified(Path(output_file), self.remote, self.read)


def _verified(path: Path, remote: RemoteFile, read: Callable[[Path], T]) -> T:
    if remote.git_blob is not None and (got := git_blob_id(path)) != remote.git_blob:
        msg = f"its git blob id is {got}, not {remote.git_blob}."
        raise ValueError(msg)
    return read(path)
