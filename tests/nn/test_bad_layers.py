"""What users do wrong with convolutions, pooling, normalization, embeddings and sequences."""

from __future__ import annotations

import numpy as np
import pytest
from misuse import Row, check_misuse

from chainrule import nn, tensor, zeros
from chainrule.nn import functional as F


class Net(nn.Module):
    """One layer of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.line = nn.Conv1d(1, 2, 3)
        self.table = nn.Embedding(10, 4)
        self.norm = nn.BatchNorm1d(3)
        self.lstm = nn.LSTM(4, 6)
        self.attention = nn.MultiheadAttention(8, 2)


SDPA = F.scaled_dot_product_attention


def longs(*numbers):
    return tensor(np.array(numbers, np.int64))


ROWS = [
    # 2: channels
    Row("channels", lambda m: m.conv(zeros(2, 1, 28, 28)), RuntimeError,
        ("x (*, 3, H, W)", "(8, 3, 3, 3)", "(2, 1, 28, 28), with 1 channels", "Conv2d")),
    Row("channels last", lambda m: m.conv(zeros(2, 28, 28, 3)), RuntimeError,
        ("with 28 channels", "x.permute(0, 3, 1, 2): the channels stand last")),
    Row("channels last, one image", lambda m: m.conv(zeros(28, 28, 3)), RuntimeError,
        ("x.permute(2, 0, 1)",)),
    Row("no channels", lambda m: m.line(zeros(5, 9)), RuntimeError,
        ("(5, 9)", "(*, 1, L)", "x.unsqueeze(1)", "Conv1d")),
    Row("flat", lambda m: m.conv(zeros(2, 784)), RuntimeError,
        ("3 or 4 dimensions", "(batch, channels, H, W)", "(2, 784)")),
    Row("groups", lambda m: F.conv2d(zeros(1, 4, 5, 5), zeros(3, 2, 3, 3), groups=2), RuntimeError,
        ("a divisor of 3", "2")),
    Row("too small", lambda m: m.conv(zeros(2, 3, 2, 9)), RuntimeError,
        ("larger than the padded input", "(2, 9)", "kernel (3, 3)", "Conv2d")),
    Row("double", lambda m: m.conv(zeros(1, 3, 9, 9).double()), RuntimeError,
        ("x float64", "x float32, as the weight", "x.to(chainrule.float32)")),
    Row("bias", lambda m: F.conv1d(zeros(1, 1, 5), zeros(2, 1, 3), zeros(3)), RuntimeError,
        ("(2,)", "(3,)", "conv1d")),
    Row("weight rank", lambda m: F.conv1d(zeros(1, 1, 5), zeros(2, 1)), RuntimeError,
        ("3 dimensions", "(2, 1)")),
    Row("an array", lambda m: m.conv(zeros(1, 3, 9, 9).numpy()), TypeError, ("ndarray", "Conv2d")),
    # 28: numbers outside the table
    Row("row 10 of 10", lambda m: m.table(longs([0, 3], [10, 1])), IndexError,
        ("index 10", "0 to 9 (the table has 10 rows)", "position (1, 0)", "Embedding")),
    Row("negative row", lambda m: m.table(longs(2, -1)), IndexError,
        ("index -1", "position (1,)", "Embedding")),
    Row("float rows", lambda m: m.table(zeros(3)), RuntimeError,
        ("integer type", "float32", "index.long()", "Embedding")),
    Row("rows in a list", lambda m: m.table([1, 2]), TypeError,
        ("list", "chainrule.tensor(input)")),
    Row("no table", lambda m: F.embedding(longs(0), zeros(3)), RuntimeError, ("(N, D)", "(3,)")),
    Row("padding row", lambda m: nn.Embedding(10, 4, padding_idx=10), ValueError,
        ("-10 to 9", "10")),
    Row("table size", lambda m: nn.Embedding(10.0, 4), TypeError, ("num_embeddings", "10.0")),
    Row("pretrained rank", lambda m: nn.Embedding.from_pretrained(zeros(3)), RuntimeError,
        ("(3,)",)),
    # 29: a batch of one
    Row("batch of one", lambda m: m.norm(zeros(1, 3)), ValueError,
        ("Expected more than 1 value per channel when training", "(1, 3)", "drop_last=True",
         "BatchNorm1d")),
    Row("empty batch", lambda m: m.norm(zeros(0, 3)), ValueError, ("(0, 3)",)),
    Row("one pixel", lambda m: nn.BatchNorm2d(3)(zeros(1, 3, 1, 1)), ValueError, ("(1, 3, 1, 1)",)),
    Row("one value a group", lambda m: F.group_norm(zeros(1, 4), 4), ValueError, ("(1, 4)",)),
    Row("norm channels", lambda m: m.norm(zeros(2, 4)), RuntimeError,
        ("(batch, 3, ...)", "(2, 4)", "BatchNorm1d")),
    Row("norm channels last", lambda m: m.norm(zeros(2, 8, 3)), RuntimeError,
        ("x.permute(0, 2, 1)",)),
    Row("group channels", lambda m: nn.GroupNorm(2, 4)(zeros(2, 6)), RuntimeError,
        ("(batch, 4, ...)", "(2, 6)", "GroupNorm")),
    Row("norm rank", lambda m: nn.BatchNorm2d(3)(zeros(2, 3)), ValueError,
        ("expected 4D input (got 2D input)", "BatchNorm2d")),
    Row("norm double", lambda m: m.norm(zeros(2, 3).double()), RuntimeError,
        ("x float64", "x float32, as running_mean", "x.to(chainrule.float32)")),
    Row("norm whole numbers", lambda m: nn.LayerNorm(3)(zeros(2, 3).long()), RuntimeError,
        ("int64", "x.float()", "LayerNorm")),
    Row("norm sizes", lambda m: nn.LayerNorm((2, 3))(zeros(4, 3)), RuntimeError,
        ("(*, 2, 3)", "(4, 3)", "LayerNorm")),
    Row("norm of one row", lambda m: nn.RMSNorm((2, 3))(zeros(3)), RuntimeError, ("(*, 2, 3)",)),
    Row("norm of nothing", lambda m: F.layer_norm(zeros(3), ()), RuntimeError,
        ("at least one dimension",)),
    Row("norm weight", lambda m: F.layer_norm(zeros(2, 3), (3,), zeros(2)), RuntimeError,
        ("weight (3,) for input (2, 3)", "(2,)")),
    Row("norm groups", lambda m: nn.GroupNorm(3, 4), ValueError, ("3 groups of 4",)),
    Row("norm groups later", lambda m: F.group_norm(zeros(2, 4), 3), RuntimeError,
        ("a divisor of 4", "3")),
    Row("group rank", lambda m: F.group_norm(zeros(4), 2), RuntimeError, ("(4,)",)),
    Row("batch rank", lambda m: F.batch_norm(zeros(4), None, None), RuntimeError, ("(4,)",)),
    Row("no statistics", lambda m: F.batch_norm(zeros(2, 3), None, None), RuntimeError,
        ("running_mean", "training=True")),
    Row("features", lambda m: nn.BatchNorm1d("3"), TypeError, ("num_features", "'3'")),
    # attention
    Row("query and key", lambda m: SDPA(zeros(3, 4), zeros(5, 3), zeros(5, 2)), RuntimeError,
        ("(..., L, E), (..., S, E) and (..., S, D)", "query (3, 4), key (5, 3), value (5, 2)")),
    Row("key and value", lambda m: SDPA(zeros(3, 4), zeros(5, 4), zeros(6, 2)), RuntimeError,
        ("value (6, 2)",)),
    Row("a vector", lambda m: SDPA(zeros(4), zeros(5, 4), zeros(5, 2)), RuntimeError,
        ("query (4,)",)),
    Row("batches", lambda m: SDPA(zeros(2, 3, 4), zeros(3, 5, 4), zeros(3, 5, 4)), RuntimeError,
        ("(2,) and (3,) and (3,)", "2 against 3 against 3")),
    Row("attention types", lambda m: SDPA(zeros(3, 4).double(), zeros(5, 4), zeros(5, 2)),
        RuntimeError, ("float64, float32 and float32",)),
    Row("mask and causal", lambda m: SDPA(*[zeros(3, 4)] * 3, attn_mask=zeros(3, 3),
        is_causal=True), RuntimeError, ("exclude each other",)),
    Row("mask shape", lambda m: SDPA(*[zeros(3, 4)] * 3, attn_mask=zeros(2, 3)), RuntimeError,
        ("attn_mask", "(2, 3) and (3, 3)")),
    Row("mask rank", lambda m: SDPA(*[zeros(3, 4)] * 3, attn_mask=zeros(2, 3, 3)), RuntimeError,
        ("broadcasts to (3, 3)", "(2, 3, 3)")),
    Row("mask type", lambda m: SDPA(*[zeros(3, 4)] * 3, attn_mask=zeros(3, 3).long()),
        RuntimeError, ("int64 (3, 3)", "mask.bool()")),
    Row("attention dropout", lambda m: SDPA(*[zeros(3, 4)] * 3, dropout_p=1.5), ValueError,
        ("1.5",)),
    Row("shared heads", lambda m: SDPA(zeros(3, 2, 4), *[zeros(2, 2, 4)] * 2, enable_gqa=True),
        RuntimeError, ("a multiple", "(3, 2, 4) and (2, 2, 4)")),
    Row("heads", lambda m: nn.MultiheadAttention(8, 3), AssertionError,
        ("embed_dim 8, num_heads 3",)),
    Row("no heads", lambda m: nn.MultiheadAttention(8, 0), ValueError, ("num_heads", ">= 1", "0")),
    Row("half a head", lambda m: nn.MultiheadAttention(8, 0.5), TypeError, ("num_heads", "0.5")),
    Row("attention size", lambda m: m.attention(*[zeros(5, 2, 6)] * 3), AssertionError,
        ("(L, B, E) and (S, B, E)", "E = 8", "query (5, 2, 6)", "MultiheadAttention")),
    Row("attention batch", lambda m: m.attention(zeros(5, 2, 8), *[zeros(5, 3, 8)] * 2),
        AssertionError, ("query (5, 2, 8)", "key (5, 3, 8)")),
    Row("attention mask", lambda m: m.attention(*[zeros(5, 2, 8)] * 3, attn_mask=zeros(5, 4)),
        RuntimeError, ("(5, 5) or (4, 5, 5)", "(5, 4)")),
    Row("attention padding", lambda m: m.attention(
        *[zeros(5, 2, 8)] * 3, key_padding_mask=zeros(5, 2)), AssertionError,
        ("(2, 5): one entry a key", "(5, 2)")),
    Row("causal without mask", lambda m: m.attention(*[zeros(5, 2, 8)] * 3, is_causal=True),
        RuntimeError, ("attn_mask",)),
    # sequences
    Row("sequence size", lambda m: m.lstm(zeros(5, 2, 3)), RuntimeError,
        ("2 or 3 dimensions, the last of size 4", "(5, 2, 3)", "LSTM")),
    Row("sequence rank", lambda m: m.lstm(zeros(5, 2, 3, 4)), RuntimeError, ("(5, 2, 3, 4)",)),
    Row("sequence type", lambda m: m.lstm(zeros(5, 2, 4).double()), RuntimeError,
        ("x float64", "x float32, as the weights", "x.to(chainrule.float32)")),
    Row("no sequence", lambda m: m.lstm(zeros(0, 2, 4)), RuntimeError, ("empty", "(0, 2, 4)")),
    Row("first state", lambda m: m.lstm(zeros(5, 2, 4), (zeros(1, 2, 6), zeros(1, 3, 6))),
        RuntimeError, ("c (1, 2, 6)", "c (1, 3, 6) for input (5, 2, 4)", "LSTM")),
    Row("one state of two", lambda m: m.lstm(zeros(5, 2, 4), zeros(1, 2, 6)), TypeError,
        ("a pair (h, c)", "Tensor")),
    Row("a state in a list", lambda m: nn.GRU(4, 6)(zeros(5, 2, 4), [1.0]), TypeError,
        ("h must be a Tensor", "list", "GRU")),
    Row("cell size", lambda m: nn.LSTMCell(4, 6)(zeros(2, 3)), RuntimeError,
        ("1 or 2 dimensions, the last of size 4", "(2, 3)", "LSTMCell")),
    Row("cell state", lambda m: nn.RNNCell(4, 6)(zeros(2, 4), zeros(3, 6)), RuntimeError,
        ("h (2, 6)", "h (3, 6)", "RNNCell")),
    Row("an array for a sequence", lambda m: m.lstm(zeros(5, 2, 4).numpy()), TypeError,
        ("ndarray", "LSTM")),
    Row("dropout of one layer", lambda m: nn.GRU(4, 6, dropout=0.5), ValueError,
        ("dropout=0.5, num_layers=1", "nn.Dropout")),
    Row("hidden size", lambda m: nn.LSTM(4, 0), ValueError, ("hidden_size", ">= 1", "0")),
    Row("layers", lambda m: nn.RNN(4, 6, "relu"), TypeError, ("num_layers", "'relu'")),
    Row("nonlinearity", lambda m: nn.RNN(4, 6, nonlinearity="rely"), ValueError,
        ("did you mean 'relu'?",)),
    Row("cell nonlinearity", lambda m: nn.RNNCell(4, 6, nonlinearity="sigmoid"), ValueError,
        ("'sigmoid'", "'tanh', 'relu'")),
    Row("projection", lambda m: nn.LSTM(4, 6, proj_size=6), ValueError, ("proj_size", "6")),
    # 34: settings out of range
    Row("stride 0", lambda m: nn.Conv2d(3, 8, 3, stride=0), ValueError, ("stride", ">= 1", "0")),
    Row("stride of three", lambda m: nn.Conv2d(3, 8, 3, stride=(1, 1, 1)), RuntimeError,
        ("stride", "2 dimensions", "(1, 1, 1)")),
    Row("kernel 2.5", lambda m: nn.Conv1d(3, 8, 2.5), TypeError, ("kernel_size", "2.5")),
    Row("negative padding", lambda m: F.conv1d(zeros(1, 1, 5), zeros(1, 1, 2), padding=-1),
        RuntimeError, ("padding", ">= 0", "-1")),
    Row("channels in groups", lambda m: nn.Conv2d(3, 8, 3, groups=2), ValueError,
        ("groups 2", "3 and 8")),
    Row("no channels at all", lambda m: nn.Conv2d(0, 8, 3), ValueError, ("in_channels", "0")),
    Row("channels as text", lambda m: nn.Conv2d("3", 8, 3), TypeError, ("in_channels", "'3'")),
    Row("padding word", lambda m: nn.Conv2d(3, 8, 3, padding="some"), ValueError, ("'same'",)),
    Row("padding word later", lambda m: F.conv2d(zeros(1, 1, 5, 5), zeros(1, 1, 3, 3), None, 1,
        "sam"), ValueError, ("'sam'", "'same'")),
    Row("same with stride", lambda m: nn.Conv2d(3, 8, 3, stride=2, padding="same"), ValueError,
        ("stride 2", "(kernel_size - 1) // 2")),
    Row("same with stride later", lambda m: F.conv1d(zeros(1, 1, 5), zeros(1, 1, 3), None, 2,
        "same"), RuntimeError, ("stride (2,)",)),
    Row("padding mode", lambda m: nn.Conv2d(3, 8, 3, padding_mode="reflected"), ValueError,
        ("did you mean 'reflect'?",)),
    Row("wide border", lambda m: F.pad(zeros(1, 2, 3), (0, 3), mode="reflect"), RuntimeError,
        ("<= 2, of the 3 elements", "(0, 3) at dimension 2 of (1, 2, 3)")),
    Row("value of a mirror", lambda m: F.pad(zeros(1, 2, 3), (0, 1), "circular", 1.0), ValueError,
        ("circular", "1.0")),
    Row("pool kernel", lambda m: nn.MaxPool2d(0), ValueError, ("kernel_size", ">= 1")),
    Row("pool padding", lambda m: F.max_pool2d(zeros(1, 4, 4), 2, padding=2), RuntimeError,
        ("half of the kernel", "(1, 1)", "(2, 2)")),
    Row("pool too small", lambda m: nn.AvgPool1d(4)(zeros(1, 3)), RuntimeError,
        ("sizes (3,)", "kernel (4,)", "AvgPool1d")),
    Row("pool flat", lambda m: nn.MaxPool2d(2)(zeros(4, 784)), RuntimeError,
        ("3 or 4 dimensions", "(4, 784)")),
    Row("pool whole numbers", lambda m: nn.AvgPool2d(2)(zeros(1, 4, 4).long()), RuntimeError,
        ("int64", "x.float()", "AvgPool2d")),
    Row("pool divisor", lambda m: F.avg_pool2d(zeros(1, 4, 4), 2, divisor_override=0), RuntimeError,
        ("divisor_override",)),
    Row("adaptive rank", lambda m: nn.AdaptiveAvgPool2d(2)(zeros(4, 4)), RuntimeError, ("(4, 4)",)),
    Row("adaptive size", lambda m: nn.AdaptiveAvgPool2d(0)(zeros(1, 4, 4)), RuntimeError,
        ("output_size", ">= 1")),
    Row("adaptive nothing", lambda m: nn.AdaptiveAvgPool2d(1)(zeros(1, 0, 4)), RuntimeError,
        ("(1, 0, 4)",)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_misuse(row):
    check_misuse(row, Net(), "test_bad_layers.py:")
