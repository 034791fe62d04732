# pragma version 0.4.3
# pragma evm-version london
# SPDX-License-Identifier: Apache-2.0
"""
@title RoadLedger
@notice Keeps the heads of a road health log. Each new head must contain the one before it (consistency proof of
        RFC 9162, checked here), so that nobody, its operator included, can rewrite what was anchored.
        London opcodes only: consortium chains are often some forks behind.
"""

struct Window:
    start: uint64  # valid from, unix seconds
    end: uint64    # valid before, unix seconds
    at: uint64     # entered at, unix seconds: earlier questions are answered by earlier entries

event Anchored:
    seq: indexed(uint256)
    root: indexed(bytes32)
    size: uint256
    time: uint256

event Granted:
    role: indexed(uint256)
    account: indexed(address)
    start: uint256
    end: uint256
    by: address

event Revoked:
    role: indexed(uint256)
    account: indexed(address)
    by: address

event Paused:
    by: address

event Unpaused:
    by: address

ADMIN: public(constant(uint256)) = 1
ANCHORER: public(constant(uint256)) = 2
DEPARTMENT: public(constant(uint256)) = 3
PAUSER: public(constant(uint256)) = 4

FOREVER: constant(uint256) = 2**64 - 1
MAX_PROOF: constant(uint256) = 65  # a tree of 2**63 leaves has consistency proofs of at most 64 hashes

count: public(uint256)
paused: public(bool)
lasting_admins: public(uint256)  # admins whose right began and has no end

roots: HashMap[uint256, bytes32]
metas: HashMap[uint256, uint256]  # size | time << 64 | block << 128, packed by hand: structs take a slot a field
windows: HashMap[uint256, HashMap[address, HashMap[uint256, uint256]]]  # start | end << 64 | at << 128
window_counts: HashMap[uint256, HashMap[address, uint256]]


@deploy
def __init__():
    self._enter(ADMIN, msg.sender, block.timestamp, FOREVER)
    self.lasting_admins = 1
    log Granted(role=ADMIN, account=msg.sender, start=block.timestamp, end=FOREVER, by=msg.sender)


# --- rights ---------------------------------------------------------------------------------------------------------

@internal
def _enter(role: uint256, account: address, start: uint256, end: uint256):
    n: uint256 = self.window_counts[role][account]
    self.windows[role][account][n] = start | (end << 64) | (block.timestamp << 128)
    self.window_counts[role][account] = n + 1


@internal
@view
def _window(role: uint256, account: address, i: uint256) -> Window:
    packed: uint256 = self.windows[role][account][i]
    return Window(
        start=convert(packed & FOREVER, uint64),
        end=convert((packed >> 64) & FOREVER, uint64),
        at=convert((packed >> 128) & FOREVER, uint64),
    )


@internal
@view
def _has(role: uint256, account: address) -> bool:
    n: uint256 = self.window_counts[role][account]
    if n == 0:
        return False
    w: Window = self._window(role, account, n - 1)
    return convert(w.start, uint256) <= block.timestamp and block.timestamp < convert(w.end, uint256)


@internal
@view
def _lasting(account: address) -> bool:
    n: uint256 = self.window_counts[ADMIN][account]
    if n == 0:
        return False
    return convert(self._window(ADMIN, account, n - 1).end, uint256) == FOREVER


@external
@view
def has_role(role: uint256, account: address) -> bool:
    return self._has(role, account)


@external
@view
def had_role(role: uint256, account: address, time: uint256) -> bool:
    """
    @notice Whether the account held the role at `time`, as the list stood then: what is revoked later stays valid.
    """
    lo: uint256 = 0
    hi: uint256 = self.window_counts[role][account]
    for i: uint256 in range(64):  # binary search for the first entry made after `time`
        if lo >= hi:
            break
        mid: uint256 = (lo + hi) // 2
        if convert(self._window(role, account, mid).at, uint256) <= time:
            lo = mid + 1
        else:
            hi = mid
    if lo == 0:
        return False
    w: Window = self._window(role, account, lo - 1)
    return convert(w.start, uint256) <= time and time < convert(w.end, uint256)


@external
@view
def windows_of(role: uint256, account: address) -> uint256:
    return self.window_counts[role][account]


@external
@view
def window(role: uint256, account: address, i: uint256) -> Window:
    assert i < self.window_counts[role][account], "no such window"
    return self._window(role, account, i)


@external
def grant(role: uint256, account: address, start: uint256, end: uint256):
    """
    @notice Gives a role within [start, end); 0 means now and without end. Supersedes the account's last window.
    """
    assert self._has(ADMIN, msg.sender), "not admin"
    assert role >= ADMIN and role <= PAUSER, "unknown role"
    assert account != empty(address), "no account"
    begin: uint256 = start
    if begin == 0:
        begin = block.timestamp
    until: uint256 = end
    if until == 0:
        until = FOREVER
    assert begin >= block.timestamp, "back-dated"
    assert until > begin and until <= FOREVER, "empty window"
    if role == ADMIN:
        lasting: bool = until == FOREVER
        # An admin of tomorrow must not count as the last admin of today.
        assert not lasting or begin == block.timestamp, "a lasting admin begins now"
        if self._lasting(account):
            if not lasting:
                assert self.lasting_admins > 1, "last admin"
                self.lasting_admins -= 1
        elif lasting:
            self.lasting_admins += 1
    self._enter(role, account, begin, until)
    log Granted(role=role, account=account, start=begin, end=until, by=msg.sender)


@external
def revoke(role: uint256, account: address):
    """
    @notice Ends a role from this block on. The list keeps what was valid before.
    """
    assert self._has(ADMIN, msg.sender), "not admin"
    assert self.window_counts[role][account] > 0, "nothing to revoke"
    if role == ADMIN and self._lasting(account):
        assert self.lasting_admins > 1, "last admin"
        self.lasting_admins -= 1
    self._enter(role, account, 0, 0)
    log Revoked(role=role, account=account, by=msg.sender)


@external
def pause():
    assert self._has(PAUSER, msg.sender) or self._has(ADMIN, msg.sender), "not pauser"
    self.paused = True
    log Paused(by=msg.sender)


@external
def unpause():
    assert self._has(ADMIN, msg.sender), "not admin"
    self.paused = False
    log Unpaused(by=msg.sender)


# --- the tree -------------------------------------------------------------------------------------------------------

@internal
@pure
def _node(left: bytes32, right: bytes32) -> bytes32:
    return sha256(concat(b"\x01", left, right))


@internal
@pure
def _consistent(
    first: uint256, second: uint256, root1: bytes32, root2: bytes32, proof: DynArray[bytes32, MAX_PROOF]
) -> bool:
    # RFC 9162 section 2.1.4.2, for 0 < first < second
    fn: uint256 = first - 1
    sn: uint256 = second - 1
    for i: uint256 in range(64):
        if fn & 1 == 0:
            break
        fn = fn >> 1
        sn = sn >> 1
    fr: bytes32 = root1
    skip: uint256 = 0
    if first & (first - 1) != 0:  # not a power of two: the proof brings the first subtree itself
        if len(proof) == 0:
            return False
        fr = proof[0]
        skip = 1
    sr: bytes32 = fr
    at: uint256 = 0
    for c: bytes32 in proof:
        at += 1
        if at <= skip:
            continue
        if sn == 0:
            return False
        if fn & 1 == 1 or fn == sn:
            fr = self._node(c, fr)
            sr = self._node(c, sr)
            for i: uint256 in range(64):
                if fn & 1 == 1 or fn == 0:
                    break
                fn = fn >> 1
                sn = sn >> 1
        else:
            sr = self._node(sr, c)
        fn = fn >> 1
        sn = sn >> 1
    return sn == 0 and fr == root1 and sr == root2


@internal
@pure
def _included(
    index: uint256, size: uint256, leaf: bytes32, root: bytes32, proof: DynArray[bytes32, MAX_PROOF]
) -> bool:
    # RFC 9162 section 2.1.3.2
    if index >= size:
        return False
    fn: uint256 = index
    sn: uint256 = size - 1
    r: bytes32 = leaf
    for p: bytes32 in proof:
        if sn == 0:
            return False
        if fn & 1 == 1 or fn == sn:
            r = self._node(p, r)
            for i: uint256 in range(64):
                if fn & 1 == 1 or fn == 0:
                    break
                fn = fn >> 1
                sn = sn >> 1
        else:
            r = self._node(r, p)
        fn = fn >> 1
        sn = sn >> 1
    return sn == 0 and r == root


@external
@view
def head() -> (bytes32, uint256, uint256, uint256):
    """
    @return root, size, seq, time of the newest anchor; all zero when there is none
    """
    seq: uint256 = self.count
    meta: uint256 = self.metas[seq]
    return self.roots[seq], meta & FOREVER, seq, (meta >> 64) & FOREVER


@external
@view
def anchors(seq: uint256) -> (bytes32, uint256, uint256, uint256):
    """
    @return root, size, time, block number of anchor `seq` (from 1); all zero when there is none
    """
    meta: uint256 = self.metas[seq]
    return self.roots[seq], meta & FOREVER, (meta >> 64) & FOREVER, meta >> 128


@external
@view
def verify(seq: uint256, leaf: bytes32, index: uint256, proof: DynArray[bytes32, MAX_PROOF]) -> uint256:
    """
    @return unix time at which a head containing leaf hash `leaf` as number `index` was anchored, or 0
    """
    meta: uint256 = self.metas[seq]
    if meta == 0 or not self._included(index, meta & FOREVER, leaf, self.roots[seq], proof):
        return 0
    return (meta >> 64) & FOREVER


@external
def anchor(
    prev_root: bytes32, root: bytes32, size: uint256, consistency_proof: DynArray[bytes32, MAX_PROOF]
) -> uint256:
    """
    @notice Makes (root, size) the new head. The same head again changes nothing.
    @return the sequence number of the head
    """
    assert not self.paused, "paused"
    assert self._has(ANCHORER, msg.sender), "not anchorer"
    assert size > 0 and size < 2**63, "bad size"
    seq: uint256 = self.count
    old_root: bytes32 = self.roots[seq]
    old_size: uint256 = self.metas[seq] & FOREVER
    if seq > 0 and size == old_size and root == old_root:
        return seq
    assert prev_root == old_root, "wrong predecessor"
    if seq == 0:
        assert len(consistency_proof) == 0, "no proof expected"
    else:
        assert size != old_size, "fork"
        assert size > old_size, "shrinks"
        assert self._consistent(old_size, size, old_root, root, consistency_proof), "not consistent"
    seq += 1
    self.count = seq
    self.roots[seq] = root
    self.metas[seq] = size | (block.timestamp << 64) | (block.number << 128)
    log Anchored(seq=seq, root=root, size=size, time=block.timestamp)
    return seq
