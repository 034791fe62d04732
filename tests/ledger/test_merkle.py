"""The tree against the known vectors of certificate transparency, and against a plain definition of itself."""

from hashlib import sha256

import pytest

from ledger import merkle
from ledger.merkle import Frontier, MerkleError, leaf_hash, node_hash, ranges_of, root_of

# The eight leaves and roots of the certificate-transparency reference tests.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes([i])) for i in range(70)]


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 2.1.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(plain_root(leaves[:k]), plain_root(leaves[k:]))


def test_reference_roots() -> None:
    leaves = [leaf_hash(bytes.fromhex(text)) for text in CT_LEAVES]
    assert [root_of(leaves[: n + 1]).hex() for n in range(8)] == CT_ROOTS
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_reference_proofs() -> None:
    tree = ranges_of([leaf_hash(bytes.fromhex(text)) for text in CT_LEAVES])
    assert [h.hex() for h in merkle.inclusion_proof(tree, 0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [h.hex() for h in merkle.consistency_proof(tree, 6, 8)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_incremental_root_is_the_definition() -> None:
    frontier = Frontier()
    for n in range(71):
        assert frontier.root() == plain_root(LEAVES[:n])
        if n < 70:
            frontier.extend([LEAVES[n]])


def bent(proof: list[bytes]) -> list[list[bytes]]:
    """A proof made wrong in every way: one bit, one hash less, one more, two exchanged."""
    wrong = [proof[:-1], [*proof, bytes(32)], [bytes(32), *proof], proof[1:]] if proof else [[bytes(32)]]
    for i in range(len(proof)):
        flipped = bytes([proof[i][0] ^ 1]) + proof[i][1:]
        wrong.append([*proof[:i], flipped, *proof[i + 1 :]])
        wrong.append([*proof[:i], proof[i][:31], *proof[i + 1 :]])
    if len(proof) > 1:
        wrong.append([proof[1], proof[0], *proof[2:]])
    return wrong


def test_every_inclusion_proof_and_no_bent_one() -> None:
    for size in range(1, 71):
        tree, root = ranges_of(LEAVES[:size]), root_of(LEAVES[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(tree, index, size)
            leaf = LEAVES[index]
            assert merkle.verify_inclusion(index, size, leaf, proof, root)
            if size in (1, 2, 3, 7, 8, 33, 64, 70):
                for wrong in bent(proof):
                    assert not merkle.verify_inclusion(index, size, leaf, wrong, root)
                for other in range(-1, size + 2):
                    assert merkle.verify_inclusion(other, size, leaf, proof, root) == (other == index)
            assert not merkle.verify_inclusion(index, size, node_hash(leaf, leaf), proof, root)


def test_every_consistency_proof_and_no_bent_one() -> None:
    roots = [root_of(LEAVES[:n]) for n in range(71)]
    for second in range(1, 71):
        tree = ranges_of(LEAVES[:second])
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(tree, first, second)
            assert merkle.verify_consistency(first, second, roots[first], roots[second], proof)
            if second in (2, 3, 7, 8, 33, 64, 70):
                for wrong in bent(proof):
                    assert not merkle.verify_consistency(first, second, roots[first], roots[second], wrong)
                assert not merkle.verify_consistency(first, second, roots[first - 1], roots[second], proof)
                assert not merkle.verify_consistency(first, second, roots[first], roots[second - 1], proof)


def test_impossible_questions_are_named() -> None:
    tree = ranges_of(LEAVES)
    for index, size in ((-1, 5), (5, 5), (0, 0)):
        with pytest.raises(MerkleError):
            merkle.inclusion_proof(tree, index, size)
    for first, second in ((0, 5), (6, 5)):
        with pytest.raises(MerkleError):
            merkle.consistency_proof(tree, first, second)
        assert not merkle.verify_consistency(first, second, LEAVES[0], LEAVES[0], [])
