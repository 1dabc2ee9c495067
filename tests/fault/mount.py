"""File systems that a test makes for itself: a small tmpfs, and an ext4 on a loop device whose power can be cut.

Both need root and mount(2), which not every test machine gives: the functions skip the test with the reason.
"""

import contextlib
import fcntl
import os
import struct
import subprocess

import pytest

EXT4_IOC_SHUTDOWN = 0x8004587D
# Nothing more reaches the disk, not even the journal that is in memory: what a power cut does.
SHUTDOWN_NOLOGFLUSH = 2


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True)


def skip_unless_root():
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a file system")


def mount(*words):
    result = run("mount", *words)
    if result.returncode != 0:
        pytest.skip(f"cannot mount here: {result.stderr.strip()}")


def unmount(place):
    # What is still held is let go when its holder ends.
    if run("umount", place).returncode != 0:
        run("umount", "-l", place)


@contextlib.contextmanager
def small_tmpfs(place, size):
    skip_unless_root()
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", place)
    try:
        yield place
    finally:
        unmount(place)


class CuttableDisk:
    """An ext4 in a file. `cut` is the power cut, `mend` the next boot: unmounted, journal replayed, mounted again."""

    def __init__(self, folder, size="96M"):
        skip_unless_root()
        self.image = folder / "disk"
        self.place = folder / "disk-mount"
        self.place.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(int(size.rstrip("M")) << 20)
        made = run("mkfs.ext4", "-q", "-F", self.image)
        if made.returncode != 0:
            pytest.skip(f"cannot make an ext4: {made.stderr.strip()}")
        mount("-o", "loop", self.image, self.place)

    def cut(self):
        place = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(place, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_NOLOGFLUSH))
        except OSError as error:
            pytest.skip(f"this file system cannot be shut down: {error}")
        finally:
            os.close(place)

    def mend(self):
        unmounted = run("umount", self.place)
        assert unmounted.returncode == 0, unmounted.stderr
        mounted = run("mount", "-o", "loop", self.image, self.place)
        assert mounted.returncode == 0, mounted.stderr

    def close(self):
        unmount(self.place)
