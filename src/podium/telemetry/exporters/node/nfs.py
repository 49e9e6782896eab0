"""What the kernel's NFS client does: nfs.

Source: /proc/net/rpc/nfs, whose counters are in the order of the protocols' procedures (RFC 1094, RFC 1813, include/linux/nfs4.h).
"""

from podium.instrument.exposition import Page
from podium.telemetry.exporters.node.sources import Roots, rows

_V2 = (
    "Null GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create Remove Rename Link SymLink MkDir RmDir ReadDir FsStat"
)  # fmt: skip
_V3 = (
    "Null GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir SymLink MkNod Remove RmDir Rename Link ReadDir ReadDirPlus FsStat "
    "FsInfo PathConf Commit"
)
_V4 = (
    "Null Read Write Commit Open OpenConfirm OpenNoattr OpenDowngrade Close Setattr FsInfo Renew SetClientID SetClientIDConfirm Lock Lockt "
    "Locku Access Getattr Lookup LookupRoot Remove Rename Link Symlink Create Pathconf StatFs ReadLink ReadDir ServerCaps DelegReturn GetACL "
    "SetACL FsLocations ReleaseLockowner Secinfo FsidPresent ExchangeID CreateSession DestroySession Sequence GetLeaseTime ReclaimComplete "
    "LayoutGet GetDeviceInfo LayoutCommit LayoutReturn SecinfoNoName TestStateID FreeStateID GetDeviceList BindConnToSession "
    "DestroyClientID Seek Allocate DeAllocate LayoutStats Clone"
)
_METHODS = {"proc2": ("2", _V2.split()), "proc3": ("3", _V3.split()), "proc4": ("4", _V4.split())}


def nfs_client(roots: Roots, page: Page) -> None:
    for words in rows(f"{roots.proc}/net/rpc/nfs"):
        numbers = [int(word) for word in words[1:]]
        if words[0] == "net":
            for protocol, count in zip(("udp", "tcp"), numbers[1:3], strict=False):
                page.counter("node_nfs_packets_total", "Packets of the NFS client.", count, (("protocol", protocol),))
            page.counter("node_nfs_connections_total", "TCP connections of the NFS client.", numbers[3])
        elif words[0] == "rpc":
            page.counter("node_nfs_rpcs_total", "Calls of the NFS client.", numbers[0])
            page.counter("node_nfs_rpc_retransmissions_total", "Calls of the NFS client that were repeated.", numbers[1])
            page.counter("node_nfs_rpc_authentication_refreshes_total", "Times the NFS client renewed its credentials.", numbers[2])
        elif words[0] in _METHODS:
            version, methods = _METHODS[words[0]]
            for method, count in zip(methods, numbers[1:], strict=False):
                text = "Calls of the NFS client, by procedure."
                page.counter("node_nfs_requests_total", text, count, (("proto", version), ("method", method)))
