"""What a model is that has been given a dynamic batch, to the last constant: it may compute the same in other ways."""

from __future__ import annotations

import onnx
import pytest

from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean, fold, plain_resizes
from tests.graph.proof import model, written

# The shapes of x and y, the opset, the graph of one picture and that of many.
BATCHES = [
    (
        "1,1,4,5", "1,1,8,5", 13,
        """
          t = Transpose<perm = [1, 0, 2, 3]>(x)  y = Concat<axis = 2>(x, t)
        """,
        """
          y = Concat<axis = 2>(x, x)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          i = Constant<value = int64[1] {0}>()  g = Gather<axis = 0>(x, i)  y = Relu(g)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Gather<axis = 1>(t0, i64[1]{0})
          t2 = Reshape(t1, i64[4]{-1 3 4 5})
          y = Relu(t2)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          y = Softmax<axis = 0>(x)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Softmax<axis = 1>(t0)
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          y = Softmax<axis = 1>(x)
        """,
        """
          y = Softmax<axis = 1>(x)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          k = Constant<value = int64[1] {1}>()  v,  i = TopK<axis = 0>(x, k)  y = Identity(v)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1a, t1b = TopK<axis = 1>(t0, i64[1]{1})
          y = Reshape(t1a, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          y = ReduceMean<axes = [0]>(x)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceMean<axes = [1]>(t0)
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          n = Constant<value = int64 {0}>()  y = CumSum(x, n)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = CumSum(t0, i64[]{1})
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          n = Constant<value = int64 {-1}>()  y = CumSum(x, n)
        """,
        """
          y = CumSum(x, i64[]{-1})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          y = LRN<size = 3>(x)
        """,
        """
          y = LRN<size = 3>(x)
        """,
    ),
    (
        "1,3,4,5", "1,3,5,7", 10,
        """
          y = Pad<pads = [0, 0, 1, 0, 0, 0, 0, 2]>(x)
        """,
        """
          y = Pad<pads = [0, 0, 1, 0, 0, 0, 0, 2]>(x)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 11,
        """
          y = Softmax(x)
        """,
        """
          y = Softmax(x)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 12,
        """
          y = Softmax<axis = 0>(x)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Softmax<axis = 1>(t0)
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          y = Softmax(x)
        """,
        """
          y = Softmax(x)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          a = ArgMax(x)  y = Cast<to = 1>(a)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ArgMax<axis = 1>(t0)
          t2 = Reshape(t1, i64[4]{-1 3 4 5})
          y = Cast<to = 1>(t2)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 17,
        """
          c = Constant<value = float[5] {1, 2, 3, 4, 5}>()  y = LayerNormalization(x, c)
        """,
        """
          y = LayerNormalization(x, f32[5]{1 2 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,1", 13,
        """
          k = Constant<value = int64[1] {1}>()  v,  i = TopK(x, k)  y = Identity(v)
        """,
        """
          y, t0b = TopK(x, i64[1]{1})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          e = Constant<value = int64[0] {}>()  y = ReduceSum<noop_with_empty_axes = 1>(x, e)
        """,
        """
          y = ReduceSum<noop_with_empty_axes = 1>(x, i64[0]{})
        """,
    ),
    (
        "1,3,4,5", "1,1,1,1", 13,
        """
          e = Constant<value = int64[0] {}>()  y = ReduceSum(x, e)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceSum(t0, i64[4]{1 2 3 4})
          y = Reshape(t1, i64[4]{-1 1 1 1})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 18,
        """
          a = Constant<value = int64[1] {0}>()  y = ReduceMean(x, a)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceMean(t0, i64[1]{1})
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,5,4,5", 13,
        """
          s = Constant<value = int64[4] {3, 1, 4, 5}>()  r = Reshape(x, s)
          p = Constant<value = int64[8] {1,0,0,0,1,0,0,0}>()  q = Pad(r, p)
          t = Constant<value = int64[4] {1, 5, 4, 5}>()  y = Reshape(q, t)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = Reshape(t0, i64[5]{-1 3 1 4 5})
          t2 = Pad(t1, i64[10]{0 1 0 0 0 0 1 0 0 0})
          t3 = Reshape(t2, i64[4]{-1 1 4 5})
          y = Reshape(t3, i64[4]{-1 5 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,5,4,5", 10,
        """
          s = Constant<value = int64[4] {3, 1, 4, 5}>()  r = Reshape(x, s)
          q = Pad<pads = [1, 0, 0, 0, 1, 0, 0, 0]>(r)  t = Constant<value = int64[4] {1, 5, 4, 5}>()
          y = Reshape(q, t)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = Reshape(t0, i64[5]{-1 3 1 4 5})
          t2 = Pad<pads = [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]>(t1)
          t3 = Reshape(t2, i64[4]{-1 1 4 5})
          y = Reshape(t3, i64[4]{-1 5 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,6,4,5", 13,
        """
          s = Constant<value = int64[4] {3, 1, 4, 5}>()  r = Reshape(x, s)
          n = Constant<value = int64[4] {2,1,1,1}>()  q = Tile(r, n)
          t = Constant<value = int64[4] {1, 6, 4, 5}>()  y = Reshape(q, t)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = Reshape(t0, i64[5]{-1 3 1 4 5})
          t2 = Tile(t1, i64[5]{1 2 1 1 1})
          t3 = Reshape(t2, i64[4]{-1 1 4 5})
          y = Reshape(t3, i64[4]{-1 6 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,6,4,5", 13,
        """
          s = Constant<value = int64[4] {3, 1, 4, 5}>()  r = Reshape(x, s)
          n = Constant<value = int64[4] {3,2,4,5}>()  q = Expand(r, n)
          t = Constant<value = int64[4] {1, 6, 4, 5}>()  y = Reshape(q, t)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = Reshape(t0, i64[5]{-1 3 1 4 5})
          t2 = Expand(t1, i64[5]{1 3 2 4 5})
          t3 = Reshape(t2, i64[4]{-1 2 4 5})
          y = Reshape(t3, i64[4]{-1 6 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          a = ArgMin(x)  y = Cast<to = 1>(a)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ArgMin<axis = 1>(t0)
          t2 = Reshape(t1, i64[4]{-1 3 4 5})
          y = Cast<to = 1>(t2)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          i = Constant<value = int64[1] {0}>()  y = Gather(x, i)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Gather<axis = 1>(t0, i64[1]{0})
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          q = Concat<axis = 0>(x, x)  r,  s = Split(q)  y = Add(r, s)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Concat<axis = 1>(t0, t0)
          t2 = Reshape(t1, i64[4]{-1 3 4 5})
          t3 = Reshape(t2, i64[5]{-1 2 3 4 5})
          t4a, t4b = Split<axis = 1>(t3)
          t5 = Reshape(t4a, i64[4]{-1 3 4 5})
          t6 = Reshape(t4b, i64[4]{-1 3 4 5})
          y = Add(t5, t6)
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          k = ArgMax(x)  y = GatherElements(x, k)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Reshape(x, i64[5]{-1 1 3 4 5})
          t2 = ArgMax<axis = 1>(t1)
          t3 = Reshape(t2, i64[4]{-1 3 4 5})
          t4 = Reshape(t3, i64[5]{-1 1 3 4 5})
          t5 = GatherElements<axis = 1>(t0, t4)
          y = Reshape(t5, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2, 1, 3, 0]>(x)  r = Hardmax(t)  s = Constant<value = int64[2] {1, 60}>()
          y = Reshape(r, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 3, 0]>(x)
          t1 = Reshape(t0, i64[5]{4 3 5 -1 1})
          t2 = Transpose<perm = [3, 0, 1, 2, 4]>(t1)
          t3 = Hardmax<axis = 4>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 5 1})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2, 1, 3, 0]>(x)  r = LogSoftmax(t)  s = Constant<value = int64[2] {1, 60}>()
          y = Reshape(r, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 3, 0]>(x)
          t1 = Reshape(t0, i64[5]{4 3 5 -1 1})
          t2 = Transpose<perm = [3, 0, 1, 2, 4]>(t1)
          t3 = LogSoftmax<axis = 4>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 5 1})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2, 1, 3, 0]>(x)  r = LpNormalization(t)
          s = Constant<value = int64[2] {1, 60}>()  y = Reshape(r, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 3, 0]>(x)
          t1 = Reshape(t0, i64[5]{4 3 5 -1 1})
          t2 = Transpose<perm = [3, 0, 1, 2, 4]>(t1)
          t3 = LpNormalization<axis = 4>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 5 1})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2, 1, 3, 0]>(x)  r = Softmax(t)  s = Constant<value = int64[2] {1, 60}>()
          y = Reshape(r, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 3, 0]>(x)
          t1 = Reshape(t0, i64[5]{4 3 5 -1 1})
          t2 = Transpose<perm = [3, 0, 1, 2, 4]>(t1)
          t3 = Softmax<axis = 4>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 5 1})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2, 1, 3, 0]>(x)  k = Constant<value = int64[1] {1}>()  r,  i = TopK(t, k)
          s = Constant<value = int64[2] {1, 60}>()  y = Reshape(r, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 3, 0]>(x)
          t1 = Reshape(t0, i64[5]{4 3 5 -1 1})
          t2 = Transpose<perm = [3, 0, 1, 2, 4]>(t1)
          t3a, t3b = TopK<axis = 4>(t2, i64[1]{1})
          t4 = Reshape(t3a, i64[4]{-1 3 5 1})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 17,
        """
          t = Transpose<perm = [2, 1, 3, 0]>(x)  c = Constant<value = float[1] {1}>()
          r = LayerNormalization(t, c)  s = Constant<value = int64[2] {1, 60}>()  y = Reshape(r, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 3, 0]>(x)
          t1 = Reshape(t0, i64[5]{4 3 5 -1 1})
          t2 = Transpose<perm = [3, 0, 1, 2, 4]>(t1)
          t3 = LayerNormalization<axis = 4>(t2, f32[1]{1})
          t4 = Reshape(t3, i64[4]{-1 3 5 1})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,120", 13,
        """
          a = Transpose<perm = [2,1,0,3]>(x)  s = Constant<value = int64[4] {4,3,1,5}>()  b = Reshape(x, s)
          c = Concat<axis = 3>(a, b)  t = Constant<value = int64[2] {1,120}>()  y = Reshape(c, t)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Reshape(x, i64[4]{-1 3 1 5})
          t4 = Reshape(t3, i64[5]{-1 4 3 1 5})
          t5 = Concat<axis = 4>(t2, t4)
          t6 = Reshape(t5, i64[4]{-1 3 1 10})
          y = Reshape(t6, i64[2]{-1 120})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = Softmax<axis = 1>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Softmax<axis = 1>(t0)
          t2 = Reshape(t1, i64[5]{4 3 -1 1 5})
          t3 = Transpose<perm = [2, 0, 1, 3, 4]>(t2)
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = Softmax<axis = 3>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Softmax<axis = 3>(t0)
          t2 = Reshape(t1, i64[5]{4 3 -1 1 5})
          t3 = Transpose<perm = [2, 0, 1, 3, 4]>(t2)
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 12,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = Softmax<axis = 1>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Softmax<axis = 2>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 1 5})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 12,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = Softmax<axis = 3>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Softmax<axis = 3>(t0)
          t2 = Reshape(t1, i64[5]{4 3 -1 1 5})
          t3 = Transpose<perm = [2, 0, 1, 3, 4]>(t2)
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 17,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  c = Constant<value = float[1,1,5] {1,2,3,4,5}>()
          b = LayerNormalization<axis = 1>(t, c)  s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = LayerNormalization<axis = 2>(t2, f32[1, 1, 5]{1 2 3 4 5})
          t4 = Reshape(t3, i64[4]{-1 3 1 5})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 17,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  c = Constant<value = float[5] {1,2,3,4,5}>()
          b = LayerNormalization(t, c)  s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = LayerNormalization(t0, f32[5]{1 2 3 4 5})
          t2 = Reshape(t1, i64[5]{4 3 -1 1 5})
          t3 = Transpose<perm = [2, 0, 1, 3, 4]>(t2)
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = Hardmax<axis = -3>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Hardmax<axis = -3>(t0)
          t2 = Reshape(t1, i64[5]{4 3 -1 1 5})
          t3 = Transpose<perm = [2, 0, 1, 3, 4]>(t2)
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  i = Constant<value = int64 {2}>()  b = CumSum(t, i)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = CumSum(t2, i64[]{3})
          t4 = Reshape(t3, i64[4]{-1 3 1 5})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  i = Constant<value = int64 {1}>()  b = CumSum(t, i)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = CumSum(t0, i64[]{1})
          t2 = Reshape(t1, i64[5]{4 3 -1 1 5})
          t3 = Transpose<perm = [2, 0, 1, 3, 4]>(t2)
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 17,
        """
          y = ReduceMean<axes = [0]>(x)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceMean<axes = [1]>(t0)
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 12,
        """
          y = ReduceSum<axes = [0]>(x)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceSum<axes = [1]>(t0)
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          a = Constant<value = int64[1] {0}>()  y = ReduceSum(x, a)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceSum(t0, i64[1]{1})
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 18,
        """
          a = Constant<value = int64[1] {0}>()  y = ReduceMax(x, a)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceMax(t0, i64[1]{1})
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,48", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = MaxPool<kernel_shape = [1,2]>(t)
          s = Constant<value = int64[2] {1,48}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Reshape(t2, i64[4]{-1 3 1 5})
          t4 = MaxPool<kernel_shape = [1, 2]>(t3)
          y = Reshape(t4, i64[2]{-1 48})
        """,
    ),
    (
        "1,3,4,5", "1,1,5,4", 13,
        """
          w = Constant<value = float[1,3,1,1] {1,2,3}>()  t = Transpose<perm = [3,1,0,2]>(x)  b = Conv(t, w)
          y = Transpose<perm = [2,1,0,3]>(b)
        """,
        """
          t0 = Transpose<perm = [3, 1, 0, 2]>(x)
          t1 = Reshape(t0, i64[5]{5 3 -1 1 4})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Reshape(t2, i64[4]{-1 3 1 4})
          t4 = Conv(t3, f32[1, 3, 1, 1]{1 2 3})
          y = Reshape(t4, i64[4]{-1 1 5 4})
        """,
    ),
    (
        "1,3,4,5", "1,3,8,15", 18,
        """
          s = Constant<value = int64[2] {8,15}>()  y = Resize<mode = "linear", axes = [2, 3]>(x, , , s)
        """,
        """
          y = Resize<axes = [2, 3], mode = linear>(x, , , i64[2]{8 15})
        """,
    ),
    (
        "1,3,4,5", "1,3,5,5", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)
          c = Constant<value = float[1,3,1,5] {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}>()
          b = Concat<axis = 0>(t, c)  y = Transpose<perm = [2,1,0,3]>(b)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Slice(t0, i64[3]{0 0 0}, i64[3]{1 1 1}, i64[3]{0 1 3})
          t2 = Where(b8[1, 1, 1, 1]{0}, t1, f32[1, 3, 1, 5]{1 2 3 4 5 6 7 8 9 10 11 12 13 14 15})
          t3 = Concat<axis = 0>(t0, t2)
          y = Transpose<perm = [2, 1, 0, 3]>(t3)
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = Softmax<axis = 2>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Softmax<axis = 3>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 1 5})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,120", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  e = Constant<value = int64[4] {4,3,2,5}>()  b = Expand(t, e)
          s = Constant<value = int64[2] {1,120}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Expand(t2, i64[5]{1 4 3 2 5})
          t4 = Reshape(t3, i64[4]{-1 3 2 5})
          y = Reshape(t4, i64[2]{-1 120})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  i = Constant<value = int64[1] {0}>()
          b = Gather<axis = -2>(t, i)  s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = Gather<axis = 3>(t2, i64[1]{0})
          t4 = Reshape(t3, i64[4]{-1 3 1 5})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          t = Transpose<perm = [2,1,0,3]>(x)  b = ReduceMax<axes = [2]>(t)
          s = Constant<value = int64[2] {1,60}>()  y = Reshape(b, s)
        """,
        """
          t0 = Transpose<perm = [2, 1, 0, 3]>(x)
          t1 = Reshape(t0, i64[5]{4 3 -1 1 5})
          t2 = Transpose<perm = [2, 0, 1, 3, 4]>(t1)
          t3 = ReduceMax<axes = [3]>(t2)
          t4 = Reshape(t3, i64[4]{-1 3 1 5})
          y = Reshape(t4, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          y = Softmax(x)
        """,
        """
          y = Softmax(x)
        """,
    ),
    (
        "1,6", "1,2", 13,
        """
          w = Constant<value = float[6,2] {1,2,3,4,5,6,7,8,9,10,11,12}>()  y = Gemm(x, w)
        """,
        """
          y = Gemm(x, f32[6, 2]{1 2 3 4 5 6 7 8 9 10 11 12})
        """,
    ),
    (
        "1,6", "1,2", 13,
        """
          w = Constant<value = float[6,2] {1,2,3,4,5,6,7,8,9,10,11,12}>()
          c = Constant<value = float[1,2] {1,2}>()  y = Gemm(x, w, c)
        """,
        """
          y = Gemm(x, f32[6, 2]{1 2 3 4 5 6 7 8 9 10 11 12}, f32[1, 2]{1 2})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          m = ReduceMean(x)  t = Constant<value = int64[0] {}>()  s = Reshape(m, t)  y = Mul(x, s)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Reshape(x, i64[5]{-1 1 3 4 5})
          t2 = ReduceMean<axes = [1, 2, 3, 4]>(t1)
          t3 = Reshape(t2, i64[4]{-1 1 1 1})
          t4 = Reshape(t3, i64[5]{-1 1 1 1 1})
          t5 = Reshape(t4, i64[1]{-1})
          t6 = Reshape(t5, i64[5]{-1 1 1 1 1})
          t7 = Mul(t0, t6)
          y = Reshape(t7, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,120", 13,
        """
          a = Transpose<perm = [1,0,2,3]>(x)  s = Constant<value = int64[4] {3,1,4,5}>()  b = Reshape(x, s)
          c = Concat<axis = 3>(a, b)  t = Constant<value = int64[2] {1,120}>()  y = Reshape(c, t)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = Reshape(x, i64[4]{-1 1 4 5})
          t2 = Concat<axis = 3>(t0, t1)
          y = Reshape(t2, i64[2]{-1 120})
        """,
    ),
    (
        "1,6", "1,12", 13,
        """
          s = Constant<value = int64[2] {3,2}>()  r = Reshape(x, s)  e = Constant<value = int64[3] {2,3,2}>()
          b = Expand(r, e)  t = Constant<value = int64[2] {1,12}>()  y = Reshape(b, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[4]{-1 1 3 2})
          t2 = Expand(t1, i64[4]{1 2 3 2})
          t3 = Reshape(t2, i64[3]{-1 3 2})
          y = Reshape(t3, i64[2]{-1 12})
        """,
    ),
    (
        "1,6", "1,9", 13,
        """
          s = Constant<value = int64[2] {3,2}>()  r = Reshape(x, s)  c = Transpose<perm = [1,0]>(r)
          p = MatMul(r, c)  t = Constant<value = int64[2] {1,9}>()  y = Reshape(p, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[3]{-1 3 2})
          t2 = Transpose<perm = [1, 0]>(t0)
          t3 = Reshape(t2, i64[3]{2 -1 3})
          t4 = Transpose<perm = [1, 0, 2]>(t3)
          t5 = MatMul(t1, t4)
          t6 = Reshape(t5, i64[2]{-1 3})
          y = Reshape(t6, i64[2]{-1 9})
        """,
    ),
    (
        "1,6", "1,12", 13,
        """
          s = Constant<value = int64[2] {3,2}>()  r = Reshape(x, s)
          w = Constant<value = float[4,2] {1,2,3,4,5,6,7,8}>()  p = Gemm<transB = 1>(r, w)
          t = Constant<value = int64[2] {1,12}>()  y = Reshape(p, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Gemm<transB = 1>(t0, f32[4, 2]{1 2 3 4 5 6 7 8})
          y = Reshape(t1, i64[2]{-1 12})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          s = Constant<value = int64[2] {1, -1}>()  y = Reshape(x, s)
        """,
        """
          y = Reshape(x, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          s = Constant<value = int64[2] {12, 5}>()  r = Reshape(x, s)  c = Softmax(r)
          t = Constant<value = int64[2] {1, 60}>()  y = Reshape(c, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 5})
          t1 = Softmax(t0)
          y = Reshape(t1, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          s = Constant<value = int64[2] {12, 5}>()  t = Constant<value = int64[2] {1, 60}>()
          b = Constant<value = float[12,1] {1,2,3,4,5,6,7,8,9,10,11,12}>()  r = Reshape(x, s)  q = Add(r, b)
          y = Reshape(q, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 5})
          t1 = Reshape(t0, i64[3]{-1 12 5})
          t2 = Add(t1, f32[12, 1]{1 2 3 4 5 6 7 8 9 10 11 12})
          t3 = Reshape(t2, i64[2]{-1 5})
          y = Reshape(t3, i64[2]{-1 60})
        """,
    ),
    (
        "1,6", "1,4", 13,
        """
          s = Constant<value = int64[2] {3, 2}>()  t = Constant<value = int64[2] {1, 4}>()
          w = Constant<value = float[2,3] {1,2,3,4,5,6}>()  r = Reshape(x, s)  p = MatMul(w, r)
          y = Reshape(p, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[3]{-1 3 2})
          t2 = MatMul(f32[2, 3]{1 2 3 4 5 6}, t1)
          t3 = Reshape(t2, i64[2]{-1 2})
          y = Reshape(t3, i64[2]{-1 4})
        """,
    ),
    (
        "1,6", "1,2", 13,
        """
          w = Constant<value = float[6,2] {1,2,3,4,5,6,7,8,9,10,11,12}>()
          s = Constant<value = int64[1] {2}>()  a = MatMul(x, w)  f = Reshape(a, s)  y = Gemm(x, w, f)
        """,
        """
          t0 = MatMul(x, f32[6, 2]{1 2 3 4 5 6 7 8 9 10 11 12})
          t1 = Reshape(t0, i64[1]{-1})
          t2 = Reshape(t1, i64[2]{-1 2})
          y = Gemm(x, f32[6, 2]{1 2 3 4 5 6 7 8 9 10 11 12}, t2)
        """,
    ),
    (
        "1,3,4,5", "1,3", 13,
        """
          p = GlobalAveragePool(x)  b = Squeeze(p)  c = Constant<value = float[3] {1, 2, 3}>()  q = Add(b, c)
          z = Constant<value = int64[1] {0}>()  y = Unsqueeze(q, z)
        """,
        """
          t0 = GlobalAveragePool(x)
          t1 = Reshape(t0, i64[1]{-1})
          t2 = Reshape(t1, i64[2]{-1 3})
          t3 = Add(t2, f32[3]{1 2 3})
          t4 = Reshape(t3, i64[1]{-1})
          y = Reshape(t4, i64[2]{-1 3})
        """,
    ),
    (
        "1,6", "1,12", 13,
        """
          z = Constant<value = int64[1] {0}>()  a = Unsqueeze(x, z)  t = Tanh(x)  b = Unsqueeze(t, z)
          q = Concat<axis = 0>(a, b)  s = Constant<value = int64[2] {1, 12}>()  y = Reshape(q, s)
        """,
        """
          t0 = Reshape(x, i64[3]{-1 1 6})
          t1 = Reshape(t0, i64[4]{-1 1 1 6})
          t2 = Tanh(x)
          t3 = Reshape(t2, i64[3]{-1 1 6})
          t4 = Reshape(t3, i64[4]{-1 1 1 6})
          t5 = Concat<axis = 1>(t1, t4)
          t6 = Reshape(t5, i64[3]{-1 1 6})
          y = Reshape(t6, i64[2]{-1 12})
        """,
    ),
    (
        "1,6", "1,10", 13,
        """
          c = Constant<value = float[1,2] {0.25, -3}>()  y = Concat<axis = -1>(c, x, c)
        """,
        """
          t0 = Slice(x, i64[1]{0}, i64[1]{1}, i64[1]{1})
          t1 = Where(b8[1, 1]{0}, t0, f32[1, 2]{0.25 -3})
          t2 = Slice(x, i64[1]{0}, i64[1]{1}, i64[1]{1})
          t3 = Where(b8[1, 1]{0}, t2, f32[1, 2]{0.25 -3})
          y = Concat<axis = -1>(t1, x, t3)
        """,
    ),
    (
        "1,6", "1,10", 13,
        """
          c = Constant<value = float[2,2] {1,2,3,4}>()  s = Constant<value = int64[2] {3, 2}>()
          t = Constant<value = int64[2] {1, 10}>()  r = Reshape(x, s)  a = Concat<axis = 0>(r, c)
          y = Reshape(a, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[3]{-1 3 2})
          t2 = Slice(t1, i64[2]{0 0}, i64[2]{1 1}, i64[2]{1 2})
          t3 = Where(b8[1, 1, 1]{0}, t2, f32[1, 2, 2]{1 2 3 4})
          t4 = Concat<axis = 1>(t1, t3)
          t5 = Reshape(t4, i64[2]{-1 2})
          y = Reshape(t5, i64[2]{-1 10})
        """,
    ),
    (
        "1,3,4,5", "1,1", 13,
        """
          s = ReduceMean<keepdims = 0>(x)  t = Constant<value=int64[2] {1,1}>()  y = Reshape(s, t)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = ReduceMean<axes = [1, 2, 3, 4], keepdims = 0>(t0)
          t2 = Reshape(t1, i64[1]{-1})
          y = Reshape(t2, i64[2]{-1 1})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          s = ReduceMean<keepdims = 0>(x)  d = Sub(x, s)  e = Exp(s)  y = Mul(d, e)
        """,
        """
          t0 = Reshape(x, i64[5]{-1 1 3 4 5})
          t1 = Reshape(x, i64[5]{-1 1 3 4 5})
          t2 = ReduceMean<axes = [1, 2, 3, 4], keepdims = 0>(t1)
          t3 = Reshape(t2, i64[1]{-1})
          t4 = Reshape(t3, i64[5]{-1 1 1 1 1})
          t5 = Sub(t0, t4)
          t6 = Reshape(t5, i64[4]{-1 3 4 5})
          t7 = Reshape(t6, i64[5]{-1 1 3 4 5})
          t8 = Exp(t3)
          t9 = Reshape(t8, i64[5]{-1 1 1 1 1})
          t10 = Mul(t7, t9)
          y = Reshape(t10, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,6,4,15", 13,
        """
          r = Constant<value = int64[4] {1,2,1,3}>()  y = Tile(x, r)
        """,
        """
          y = Tile(x, i64[4]{1 2 1 3})
        """,
    ),
    (
        "1,3,4,5", "1,2,4,5", 13,
        """
          a = Constant<value = int64[2] {-1,-2}>()  b = Constant<value = int64[2] {1,9}>()
          c = Constant<value = int64[2] {0,-3}>()  y = Slice(x, a, b, c)
        """,
        """
          y = Slice(x, i64[2]{0 -2}, i64[2]{9.22337e+18 9}, i64[2]{0 1}, i64[2]{1 1})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,3", 13,
        """
          a = Constant<value = int64[2] {0,0}>()  b = Constant<value = int64[2] {1,9}>()
          c = Constant<value = int64[2] {0,3}>()  d = Constant<value = int64[2] {1,2}>()
          y = Slice(x, a, b, c, d)
        """,
        """
          y = Slice(x, i64[2]{0 0}, i64[2]{9.22337e+18 9}, i64[2]{0 3}, i64[2]{1 2})
        """,
    ),
    (
        "1,3,4,5", "1,2,4,5", 9,
        """
          y = Slice<starts = [0, 1], ends = [1, 3]>(x)
        """,
        """
          y = Slice<axes = [0, 1], ends = [9223372036854775807, 3], starts = [0, 1]>(x)
        """,
    ),
    (
        "1,6", "1,4", 9,
        """
          s = Constant<value = int64[2] {3, 2}>()  r = Reshape(x, s)
          p = Slice<starts = [1], ends = [3], axes = [0]>(r)  t = Constant<value = int64[2] {1, 4}>()
          y = Reshape(p, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[3]{-1 3 2})
          t2 = Slice<axes = [1], ends = [3], starts = [1]>(t1)
          t3 = Reshape(t2, i64[2]{-1 2})
          y = Reshape(t3, i64[2]{-1 4})
        """,
    ),
    (
        "1,6", "1,4", 13,
        """
          s = Constant<value = int64[2] {3, 2}>()  r = Reshape(x, s)  c = Constant<value = int64[1] {1}>()
          d = Constant<value = int64[1] {3}>()  p = Slice(r, c, d)  t = Constant<value = int64[2] {1, 4}>()
          y = Reshape(p, t)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[3]{-1 3 2})
          t2 = Slice(t1, i64[1]{1}, i64[1]{3}, i64[1]{1}, i64[1]{1})
          t3 = Reshape(t2, i64[2]{-1 2})
          y = Reshape(t3, i64[2]{-1 4})
        """,
    ),
    (
        "1,6", "1,1", 11,
        """
          s = Constant<value = int64[2] {3, 2}>()  r = Reshape(x, s)  m = ReduceSum<axes = [0, -1]>(r)
          q = Constant<value = int64[2] {1, 1}>()  y = Reshape(m, q)
        """,
        """
          t0 = Reshape(x, i64[2]{-1 2})
          t1 = Reshape(t0, i64[3]{-1 3 2})
          t2 = ReduceSum<axes = [1, 2]>(t1)
          y = Reshape(t2, i64[2]{-1 1})
        """,
    ),
    (
        "1,6", "1,12", 13,
        """
          s = Constant<value = int64[1] {6}>()  r = Reshape(x, s)
          c = Constant<value = float[2,6] {1,2,3,4,5,6,7,8,9,10,11,12}>()  q = Add(r, c)
          t = Constant<value = int64[2] {1, 12}>()  y = Reshape(q, t)
        """,
        """
          t0 = Reshape(x, i64[1]{-1})
          t1 = Reshape(t0, i64[3]{-1 1 6})
          t2 = Add(t1, f32[2, 6]{1 2 3 4 5 6 7 8 9 10 11 12})
          t3 = Reshape(t2, i64[2]{-1 6})
          y = Reshape(t3, i64[2]{-1 12})
        """,
    ),
    (
        "1,3,4,5", "1,60", 13,
        """
          l = Transpose<perm = [1, 2, 3, 0]>(x)  s = Constant<value = int64[2] {1, 60}>()  y = Reshape(l, s)
        """,
        """
          y = Reshape(x, i64[2]{-1 60})
        """,
    ),
    (
        "1,3,4,5", "1,3,4,5", 13,
        """
          w = Constant<value = float[1,1,1,1] {2}>()  a = Transpose<perm = [1,0,2,3]>(x)  b = Conv(a, w)
          y = Transpose<perm = [1,0,2,3]>(b)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = Conv(t0, f32[1, 1, 1, 1]{2})
          y = Reshape(t1, i64[4]{-1 3 4 5})
        """,
    ),
    (
        "1,3,4,5", "1,36", 13,
        """
          s = Constant<value = int64[4] {3,1,4,5}>()  r = Reshape(x, s)
          w = Constant<value = float[1,1,1,1] {2}>()  z = Constant<value = int64[1] {0}>()
          u = Unsqueeze(r, z)  v = Squeeze(u, z)  b = MaxPool<kernel_shape = [2,2]>(v)
          t = Constant<value = int64[2] {1, 36}>()  y = Reshape(b, t)
        """,
        """
          t0 = Reshape(x, i64[4]{-1 1 4 5})
          t1 = MaxPool<kernel_shape = [2, 2]>(t0)
          y = Reshape(t1, i64[2]{-1 36})
        """,
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", BATCHES)
def test_what_is_written(row: tuple[str, str, int, str, str]) -> None:
    source, target, opset, before, after = row
    made = dynamic_batch(plain_resizes(fold(clean(model(" ".join(before.split()), source, target, opset)))))
    onnx.checker.check_model(made, full_check=True)
    assert written(made) == [line.strip() for line in after.strip().splitlines()]
    for value in (*made.graph.input, *made.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert dims[0].dim_param == "N"
        shape = source if value.name == made.graph.input[0].name else target
        assert [dim.dim_value for dim in dims[1:]] == [int(size) for size in shape.split(",")[1:]]
