"""The private root: a process container's own copy-on-write view of the host's files.

A process container has no image; it sees the host's files, yet must not change them, and must find its volumes at their mountPaths, which the
host does not have. So in a mount namespace of its own the process builds a root on a small tmpfs:

- As root, one overlay of / whose upper layer is on that tmpfs: reads come from the host, writes stay in the container. Mounts of the host are
  put on top: a kernel file system (proc, sysfs, devtmpfs ...) as it is, any other as an overlay too.
- An ordinary user may not overlay a directory with mounts below it. Such a directory is split: a directory of the tmpfs, and the same again for
  each of its entries; a file in it is shown read-only.
- What cannot be an overlay (some network and FUSE file systems) is shown read-only.
- Volumes are bound over that. A mount point that may not be created (an ordinary user in /etc) splits its parent the same way.

Then pivot_root, and the host's tree is let go of. All of it lives and dies with the process: the host's mount table never changes
(propagation is slave: unmounts of the host still arrive, nothing goes back), and there is nothing to clean up. Entries that vanish while the
root is built are passed over: the host goes on living.

Sources: mount_namespaces(7), user_namespaces(7), pivot_root(2), mount_setattr(2), Documentation/filesystems/overlayfs.rst.
"""

import os

from podium.node.runtime.process_isolation import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    mount,
    pivot_root,
    read_only,
    unmount,
)

SPLIT_DEPTH_MAX = 3
"""Directories with mounts below them are split down to /a/b/c."""
ENTRIES_MAX = 512
"""A directory with more entries than this is not split: it starts out empty."""
MOUNT_DEPTH_MAX = 3
"""Mounts of the host deeper than /a/b/c are not shown (they belong to other container runtimes, mostly)."""

KERNEL_FILE_SYSTEMS = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl"),
        *("hugetlbfs", "mqueue", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs"),
    )
)
HIDDEN_FILE_SYSTEMS = frozenset(("nsfs",))
"""Mounts that keep a namespace alive: a copy would keep it longer than its owner wants."""


class PrivateRoot:
    """`stage` is an empty directory on the host; the tmpfs mounted on it is seen in this mount namespace alone."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._layers = 0
        self._overlays: list[str] = []
        self._read_only_root = False
        self._mounted = mount_table(stage)

    def build(self, volumes: list[tuple[str, str, bool]], read_only_root: bool) -> None:
        self._read_only_root = read_only_root
        mount("tmpfs", self._stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        root = f"{self._stage}/root"
        os.mkdir(root)
        if not self._try_overlay("/", root):
            mount(root, root, flags=MS_BIND)
            self._overlays.append(root)
            self._split("/", root, 1)
        else:
            self._show_mounts(root)
        bound = [self._bind_volume(root, source, target, ro) for source, target, ro in sorted(volumes, key=lambda volume: volume[1])]
        if read_only_root:
            for path in self._overlays:
                if path not in bound:
                    read_only(path, below=False)
        os.chdir(root)
        pivot_root()
        unmount(".", MNT_DETACH)
        os.chdir("/")

    # As root: an overlay of /, and the host's mounts on top

    def _show_mounts(self, root: str) -> None:
        whole: list[str] = []
        for source, kind in sorted(self._mounted.items()):
            deep = source.count("/") > MOUNT_DEPTH_MAX
            place = root + source
            if deep or kind in HIDDEN_FILE_SYSTEMS or source.startswith(tuple(whole)) or not os.path.lexists(place):
                continue
            if kind in KERNEL_FILE_SYSTEMS:
                self._bind(source, place)
                whole.append(source + "/")
            elif not os.path.isdir(source) or not self._try_overlay(source, place):
                self._bind(source, place, ro=True)
                whole.append(source + "/")

    # As an ordinary user: directories with mounts below them entry by entry

    def _split(self, source: str, target: str, depth: int) -> None:
        """Fills the directory `target`, on the tmpfs, with what `source` holds."""
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
        if len(entries) > ENTRIES_MAX:
            return
        for entry in entries:
            place = f"{target}/{entry.name}"
            try:
                self._show(entry, place, depth)
            except FileNotFoundError:
                continue

    def _show(self, entry: "os.DirEntry[str]", place: str, depth: int) -> None:
        if self._mounted.get(entry.path) in HIDDEN_FILE_SYSTEMS:
            return
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir(follow_symlinks=False):
            os.mkdir(place)
            self._show_directory(entry.path, place, depth)
        else:
            open(place, "wb").close()
            self._bind(entry.path, place, ro=entry.is_file(follow_symlinks=False))

    def _show_directory(self, source: str, place: str, depth: int) -> None:
        below = any(path.startswith(source + "/") for path in self._mounted)
        if self._mounted.get(source) in KERNEL_FILE_SYSTEMS:
            self._bind(source, place)
        elif self._try_overlay(source, place):
            return
        elif below and depth < SPLIT_DEPTH_MAX and os.access(source, os.R_OK | os.X_OK):
            os.chmod(place, os.stat(source).st_mode & 0o7777)
            self._split(source, place, depth + 1)
        else:
            self._bind(source, place, ro=True)

    # Volumes

    def _bind_volume(self, root: str, source: str, target: str, ro: bool) -> str:
        place = root + os.path.realpath(target)
        try:
            self._create_mount_point(root, place, os.path.isdir(source))
            self._bind(source, place, ro)
        except OSError as error:
            raise OSError(f"volume cannot be mounted at {target}: {error}") from error
        return place

    def _create_mount_point(self, root: str, place: str, directory: bool) -> None:
        if os.path.lexists(place):
            return
        parent = os.path.dirname(place)
        if parent != root:
            self._create_mount_point(root, parent, True)
        try:
            self._create(place, directory)
        except PermissionError:
            self._split_over(parent)
            self._create(place, directory)

    def _create(self, place: str, directory: bool) -> None:
        if directory:
            os.mkdir(place)
        else:
            open(place, "wb").close()

    def _split_over(self, parent: str) -> None:
        """Puts a directory of the tmpfs with the same entries over `parent`, in which an ordinary user can create more."""
        self._layers += 1
        fresh = f"{self._stage}/s{self._layers}"
        os.mkdir(fresh)
        for entry in os.scandir(parent):
            place = f"{fresh}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
                continue
            self._create(place, entry.is_dir())
            self._bind(entry.path, place, self._read_only_root)
        self._bind(fresh, parent)
        self._overlays.append(parent)

    # Mounts

    def _bind(self, source: str, place: str, ro: bool = False) -> None:
        mount(source, place, flags=MS_BIND | MS_REC)
        if ro:
            read_only(place)

    def _try_overlay(self, source: str, place: str) -> bool:
        if any(sign in source for sign in ",:\\"):
            return False  # the options could not name it
        self._layers += 1
        upper, work = f"{self._stage}/u{self._layers}", f"{self._stage}/w{self._layers}"
        os.mkdir(upper)
        os.mkdir(work)
        known = os.stat(source)
        os.chmod(upper, known.st_mode & 0o7777)
        try:
            os.chown(upper, known.st_uid, known.st_gid)
        except OSError:
            # An owner that the user namespace does not map: the merged directory then belongs to the user.
            pass
        try:
            mount("overlay", place, "overlay", 0, f"lowerdir={source},upperdir={upper},workdir={work}")
        except OSError:
            return False
        self._overlays.append(place)
        return True


def mount_table(without: str) -> dict[str, str]:
    """Mount point -> file system type, the topmost of each place."""
    table = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            place = fields.split(" ")[4]
            for code in ("\\040", "\\011", "\\012", "\\134"):
                place = place.replace(code, chr(int(code[1:], 8)))
            if place not in ("/", without):
                table[place] = rest.split(" ", 1)[0]
    return table
