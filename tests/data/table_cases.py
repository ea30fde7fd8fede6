"""Good and torn files, for the tests of tables."""

from __future__ import annotations

from hypothesis import strategies as st

from chainrule.errors import ChainruleError

PLAIN = b"size,colour\n1.5,red\n2,blue\n"


def said_of(error):
    """The text of an error, which is the project's own, and short."""
    text = str(error)
    assert isinstance(error, ChainruleError)
    assert len(text.splitlines()) <= 6, text
    assert max(map(len, text.splitlines())) < 200, text
    return text


SEEDS = [
    PLAIN,
    b"a,b\n" + b"1,2\n" * 20,
    b'a;b\n"1,5";"x\ny"\n',
    b'{"a": 1, "b": null}\n{"a": 2, "b": "x"}\n',
    "a\tb\n1\té\n".encode("utf-16"),
    b"n,when,flag,y\n1.5,2024-01-31,yes,a\n,2024-05-01,no,b\n2,NA,yes,a\n-3,2024-07-07,no,b\n",
]
ENCODINGS = [None, "utf-8", "cp1252", "utf-16", "utf-7", "cp932", "utf-32-be"]


@st.composite
def torn(draw):
    """Bytes of any kind, or a good file with some of its bytes changed, cut or doubled."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        new = draw(st.sampled_from([b'"', b",", b";", b"\n", b"\r", b"\0", b"\xff", b"{", b"}",
                                    b"\\ud800", b"1e999", b"9" * 5000, b"[" * 3000]))  # fmt: skip
        data[at : at + draw(st.integers(0, 3))] = new
    return bytes(data)
