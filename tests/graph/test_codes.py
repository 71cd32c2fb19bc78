"""What becomes of a network of 8-bit codes, to the last constant: nodes that compute the same may be too many."""

from __future__ import annotations

import onnx
import pytest

from convert.graph.cleanup import clean
from convert.graph.quantized import Layers, layers, pair_codes, shift
from tests.graph.proof import model, written

# Codes with zero points before a network, and behind it.
FRONT = """
  s = Constant<value = float {0.5}>()  z = Constant<value = int8 {-3}>()
  e = Constant<value = float {0.25}>()  n = Constant<value = int8 {4}>()
  q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)
"""
BEHIND = " o = QuantizeLinear(LAST, e, n) y = DequantizeLinear(o, e, n)"
WITHOUT = [  # what FRONT becomes
    "t0 = Add(x, f32[]{-1.5})",
    "t1 = QuantizeLinear(t0, f32[]{0.5}, i8[]{0})",
    "t2 = DequantizeLinear(t1, f32[]{0.5}, i8[]{0})",
]

# The network of d, its last tensor, the shapes of x and y, whether Pad takes any number; layers, and what it becomes.
NETWORKS = [
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()
          b = Constant<value = float[2] {1, 2}>()  c = Conv(d, w, b)
        """,
        "c", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{2.1155 3.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          y = Add(t6, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  c = Conv(d, w)  r = Relu(c)
        """,
        "r", "1,2,2,2", "1,2,2,2", True, Layers({"Clip": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = Clip(t4, f32[]{1})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  h = Constant<value = float {6}>()
          g = Constant<value = float {-1}>()  c = Conv(d, w)  r = Clip(c, g, h)
        """,
        "r", "1,2,2,2", "1,2,2,2", True, Layers({"Clip": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = Clip(t4, f32[]{0}, f32[]{7})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()
          h = Constant<value = float {60}>()  g = Constant<value = float {-40}>()  c = Conv(d, w)
          r = Clip(c, g, h)
        """,
        "r", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          y = Add(t6, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  h = Constant<value = float {6}>()
          c = Conv(d, w)  r = Clip(c, , h)
        """,
        "r", "1,2,2,2", "1,2,2,2", True, Layers({"Clip": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = Clip(t4, , f32[]{7})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[1,2,2,1] {0.126, -0.05, 0.1, 0.254}>()  c = Conv<pads = [1,0,0,0]>(d, w)
        """,
        "c", "1,2,2,2", "1,1,2,2", True, Layers({"Conv": 1, "Pad": 1}, {}, 1.0),
        """
          t3 = Pad<mode = constant>(t2, i64[8]{0 0 1 0 0 0 0 0}, f32[]{-1.5})
          t4 = QuantizeLinear(t3, f32[]{0.5}, i8[]{0})
          t5 = DequantizeLinear(t4, f32[]{0.5}, i8[]{0})
          t6 = DequantizeLinear<axis = 0>(i8[1, 2, 2, 1]{63 -25 50 127}, f32[1]{0.002}, i8[1]{0})
          t7 = Conv<pads = [0, 0, 0, 0]>(t5, t6, f32[1]{1.645})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[1,2,2,1] {0.126, -0.05, 0.1, 0.254}>()  c = Conv<pads = [1,0,0,0]>(d, w)
        """,
        "c", "1,2,2,2", "1,1,2,2", False, Layers({"Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[1, 2, 2, 1]{63 -25 50 127}, f32[1]{0.002}, i8[1]{0})
          t4 = Conv<pads = [1, 0, 0, 0]>(t2, t3)
          t5 = Add(t4, f32[1, 1, 2, 2]{1.306 1.306 1.645 1.645})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,1,1,1] {0.127, -0.05}>()  c = ConvTranspose(d, w)
        """,
        "c", "1,2,2,2", "1,1,2,2", True, Layers({"ConvTranspose": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 1>(i8[2, 1, 1, 1]{127 -50}, f32[1]{0.001}, i8[1]{0})
          t4 = ConvTranspose(t2, t3, f32[1]{1.1155})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          y = Add(t6, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,1,2,1] {0.126, -0.05, 0.1, 0.254}>()
          c = ConvTranspose<strides = [2, 1]>(d, w)
        """,
        "c", "1,2,2,1", "1,1,4,1", True, Layers({"ConvTranspose": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 1>(i8[2, 1, 2, 1]{63 -25 50 127}, f32[1]{0.002}, i8[1]{0})
          t4 = ConvTranspose<strides = [2, 1]>(t2, t3)
          t5 = Add(t4, f32[1, 1, 4, 1]{1.339 1.306 1.339 1.306})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,3] {0.127, -0.05, 0.254, 0.1, 0.127, 0.02}>()  c = MatMul(d, w)
        """,
        "c", "1,2", "1,3", True, Layers({"MatMul": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 1>(i8[2, 3]{127 -50 127 100 127 10}, f32[3]{0.001 0.001 0.002}, i8[3]{0 0 0})
          t4 = MatMul(t2, t3)
          t5 = Add(t4, f32[3]{1.3405 1.1155 1.411})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,3] {0.127, -0.05, 0.254, 0.1, 0.127, 0.02}>()
          b = Constant<value = float[3] {1, 2, 3}>()  c = Gemm(d, w, b)
        """,
        "c", "1,2", "1,3", True, Layers({"Gemm": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 1>(i8[2, 3]{127 -50 127 100 127 10}, f32[3]{0.001 0.001 0.002}, i8[3]{0 0 0})
          t4 = Gemm(t2, t3, f32[3]{2.3405 3.1155 4.411})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          y = Add(t6, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[3,2] {0.127, -0.05, 0.254, 0.1, 0.127, 0.02}>()
          c = Gemm<transB = 1>(d, w)
        """,
        "c", "1,2", "1,3", True, Layers({"Gemm": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[3, 2]{127 -50 127 50 127 20}, f32[3]{0.001 0.002 0.001}, i8[3]{0 0 0})
          t4 = Gemm<transB = 1>(t2, t3, f32[3]{1.1155 1.531 1.2205})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          y = Add(t6, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)  a = Add(d, l)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Add": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{0.1155 0.531})
          t5 = Add(t2, t4)
          t6 = Add(t5, f32[]{2.5})
          t7 = QuantizeLinear(t6, f32[]{0.25}, i8[]{0})
          t8 = DequantizeLinear(t7, f32[]{0.25}, i8[]{0})
          y = Add(t8, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)  a = Sub(d, l)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1, "Sub": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{0.1155 0.531})
          t5 = Sub(t2, t4)
          t6 = Add(t5, f32[]{2.5})
          t7 = QuantizeLinear(t6, f32[]{0.25}, i8[]{0})
          t8 = DequantizeLinear(t7, f32[]{0.25}, i8[]{0})
          y = Add(t8, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = Concat<axis = 1>(d, k)
        """,
        "a", "1,2,2,2", "1,4,2,2", True, Layers({"Concat": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{2.5 2.5 0 0})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, s, z)  k = DequantizeLinear(m, s, z)  a = Concat<axis = -1>(d, k)
        """,
        "a", "1,2,2,2", "1,2,2,4", True, Layers({"Concat": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{-1.3845 -0.969})
          t5 = QuantizeLinear(t4, f32[]{0.5}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.5}, i8[]{0})
          t7 = Concat<axis = -1>(t2, t6)
          t8 = Add(t7, f32[]{2.5})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          p = Constant<value = int64[8] {0,0,1,0,0,0,0,0}>()  a = Pad(k, p)
        """,
        "a", "1,2,2,2", "1,2,3,2", True, Layers({"Conv": 1, "Pad": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Pad(t6, i64[8]{0 0 1 0 0 0 0 0}, f32[]{1})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          p = Constant<value = int64[8] {0,0,1,0,0,0,0,0}>()  a = Pad(k, p)
        """,
        "a", "1,2,2,2", "1,2,3,2", False, Layers({"Conv": 1, "Pad": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Add(t6, f32[]{-1})
          t8 = Pad(t7, i64[8]{0 0 1 0 0 0 0 0})
          t9 = Add(t8, f32[]{1})
          t10 = QuantizeLinear(t9, f32[]{0.25}, i8[]{0})
          t11 = DequantizeLinear(t10, f32[]{0.25}, i8[]{0})
          y = Add(t11, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          p = Constant<value = int64[8] {0,0,1,0,0,0,0,0}>()  v = Constant<value = float {0.75}>()
          a = Pad(k, p, v)
        """,
        "a", "1,2,2,2", "1,2,3,2", True, Layers({"Conv": 1, "Pad": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Pad(t6, i64[8]{0 0 1 0 0 0 0 0}, f32[]{1.75})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = AveragePool<kernel_shape = [2,1]>(k)
        """,
        "a", "1,2,2,2", "1,2,1,2", True, Layers({"AveragePool": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = AveragePool<kernel_shape = [2, 1]>(t6)
          t8 = QuantizeLinear(t7, f32[]{0.249992}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          a = AveragePool<kernel_shape = [2,1], pads = [1,0,0,0], count_include_pad = 1>(k)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"AveragePool": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Add(t6, f32[]{-1})
          t8 = AveragePool<count_include_pad = 1, kernel_shape = [2, 1], pads = [1, 0, 0, 0]>(t7)
          t9 = Add(t8, f32[]{1})
          t10 = QuantizeLinear(t9, f32[]{0.249992}, i8[]{0})
          t11 = DequantizeLinear(t10, f32[]{0.25}, i8[]{0})
          y = Add(t11, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          f = Constant<value = float[4] {1,1,2,2}>()  a = Resize<mode = "linear">(k, , f)
        """,
        "a", "1,2,2,2", "1,2,4,4", True, Layers({"Conv": 1, "Resize": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Resize<mode = linear>(t6, , f32[4]{1 1 2 2})
          t8 = Add(t7, f32[]{7.62939e-06})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          f = Constant<value = float[4] {1,1,2,2}>()  a = Resize<mode = "cubic">(k, , f)
        """,
        "a", "1,2,2,2", "1,2,4,4", True, Layers({"Conv": 1, "Resize": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Add(t6, f32[]{-1})
          t8 = Resize<mode = cubic>(t7, , f32[4]{1 1 2 2})
          t9 = Add(t8, f32[]{1})
          t10 = QuantizeLinear(t9, f32[]{0.25}, i8[]{0})
          t11 = DequantizeLinear(t10, f32[]{0.25}, i8[]{0})
          y = Add(t11, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = Softmax<axis = 1>(k)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1}, {"Softmax": 1}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Softmax<axis = 1>(t6)
          t8 = Add(t7, f32[]{1})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = Sigmoid(k)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1}, {"Sigmoid": 1}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Add(t6, f32[]{-1})
          t8 = Sigmoid(t7)
          t9 = Add(t8, f32[]{1})
          t10 = QuantizeLinear(t9, f32[]{0.25}, i8[]{0})
          t11 = DequantizeLinear(t10, f32[]{0.25}, i8[]{0})
          y = Add(t11, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = MaxPool<kernel_shape = [2,1]>(k)
          a = Conv(i, w)
        """,
        "a", "1,2,2,2", "1,2,1,2", True, Layers({"Conv": 2, "MaxPool": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = MaxPool<kernel_shape = [2, 1]>(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t11 = Conv(t9, t10, f32[2]{0.923 0.646})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i,  j = Split<axis = 1>(k)
          a = Mul(i, j)
        """,
        "a", "1,2,2,2", "1,1,2,2", True, Layers({"Conv": 1, "Split": 1}, {"Mul": 1}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7a, t7b = Split<axis = 1>(t6)
          t8 = Add(t7a, f32[]{-1})
          t9 = Add(t7b, f32[]{-1})
          t10 = Mul(t8, t9)
          t11 = Add(t10, f32[]{1})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          f = Constant<value = float {2}>()  a = Add(l, f)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{0.1155 0.531})
          t5 = Add(t4, f32[]{3})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[1,2,2,1] {0.126, -0.05, 0.1, 0.254}>()
          c = Conv<pads = [1,0,1,0], strides = [2,1]>(d, w)
        """,
        "c", "1,2,4,1", "1,1,3,1", False, Layers({"Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[1, 2, 2, 1]{63 -25 50 127}, f32[1]{0.002}, i8[1]{0})
          t4 = Conv<pads = [1, 0, 1, 0], strides = [2, 1]>(t2, t3)
          t5 = Add(t4, f32[1, 1, 3, 1]{1.306 1.645 1.339})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[1,2,2,1] {0.126, -0.05, 0.1, 0.254}>()
          c = Conv<auto_pad = "SAME_UPPER", dilations = [2,1]>(d, w)
        """,
        "c", "1,2,4,1", "1,1,4,1", False, Layers({"Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[1, 2, 2, 1]{63 -25 50 127}, f32[1]{0.002}, i8[1]{0})
          t4 = Conv<auto_pad = NOTSET, dilations = [2, 1], pads = [1, 0, 1, 0]>(t2, t3)
          t5 = Add(t4, f32[1, 1, 4, 1]{1.306 1.645 1.645 1.339})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          y = Add(t7, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          p = Constant<value = int64[8] {0,0,1,0,0,0,0,0}>()  i = Pad(k, p)  a = Conv(i, w)
        """,
        "a", "1,2,1,1", "1,2,2,1", True, Layers({"Conv": 2, "Pad": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Pad(t6, i64[8]{0 0 1 0 0 0 0 0}, f32[]{1})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t11 = Conv(t9, t10, f32[2]{0.923 0.646})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 2>(k, k)
          a = Conv(i, w)
        """,
        "a", "1,2,1,1", "1,2,2,1", True, Layers({"Concat": 1, "Conv": 2}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 2>(t6, t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t11 = Conv(t9, t10, f32[2]{0.923 0.646})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          b = ReduceMax<axes = [0,2,3], keepdims = 0>(d)  c = Conv(d, w, b)  a = Add(c, l)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Add": 1, "Conv": 1, "ReduceMax": 1}, {"Conv": 1}, 0.5),
        """
          t3 = Add(t2, f32[]{1.5})
          t4 = ReduceMax<axes = [0, 2, 3], keepdims = 0>(t2)
          t5 = Add(t4, f32[]{1.5})
          t6 = Conv(t3, f32[2, 2, 1, 1]{0.127 -0.05 0.1 0.254}, t5)
          t7 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t8 = Conv(t2, t7, f32[2]{0.1155 0.531})
          t9 = Add(t6, t8)
          t10 = Add(t9, f32[]{1})
          t11 = QuantizeLinear(t10, f32[]{0.25}, i8[]{0})
          t12 = DequantizeLinear(t11, f32[]{0.25}, i8[]{0})
          y = Add(t12, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()
          v = Constant<value = float[2,2,1,1] {0.1234567, 0.3141592, 0.2718281, 0.5772156}>()  l = Conv(d, w)
          c = Conv(d, v)  a = Add(c, l)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Add": 1, "Conv": 1}, {"Conv": 1}, 0.5),
        """
          t3 = Add(t2, f32[]{1.5})
          t4 = Conv(t3, f32[2, 2, 1, 1]{0.123457 0.314159 0.271828 0.577216})
          t5 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t6 = Conv(t2, t5, f32[2]{0.1155 0.531})
          t7 = Add(t4, t6)
          t8 = Add(t7, f32[]{1})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)  r = Relu(l)
          m = QuantizeLinear(r, e, n)  k = DequantizeLinear(m, e, n)  a = Relu(k)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Clip": 2, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = Clip(t4, f32[]{1})
          t6 = QuantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = DequantizeLinear(t6, f32[]{0.25}, i8[]{0})
          t8 = Clip(t7, f32[]{1})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)  r = Relu(d)
          a = Add(r, l)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Add": 1, "Clip": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = Clip(t2, f32[]{-1.5})
          t4 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t5 = Conv(t2, t4, f32[2]{0.1155 0.531})
          t6 = Add(t3, t5)
          t7 = Add(t6, f32[]{2.5})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          h = Constant<value = float {3}>()  r = Clip(d, , h)  a = Add(r, l)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Add": 1, "Clip": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = Clip(t2, , f32[]{1.5})
          t4 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t5 = Conv(t2, t4, f32[2]{0.1155 0.531})
          t6 = Add(t3, t5)
          t7 = Add(t6, f32[]{2.5})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          i = Constant<value = int64[4] {1,2,2,3}>()  a = Expand(k, i)
        """,
        "a", "1,2,2,1", "1,2,2,3", True, Layers({"Conv": 1, "Expand": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Expand(t6, i64[4]{1 2 2 3})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          i = Constant<value = int64[4] {1,1,2,1}>()  a = Tile(k, i)
        """,
        "a", "1,2,2,1", "1,2,4,1", True, Layers({"Conv": 1, "Tile": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Tile(t6, i64[4]{1 1 2 1})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Constant<value = int64[1] {1}>()
          a = Gather<axis = 1>(k, i)
        """,
        "a", "1,2,2,1", "1,1,2,1", True, Layers({"Conv": 1, "Gather": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Gather<axis = 1>(t6, i64[1]{1})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = ReduceMax<axes = [2]>(k)
        """,
        "a", "1,2,2,1", "1,2,1,1", True, Layers({"Conv": 1, "ReduceMax": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = ReduceMax<axes = [2]>(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          a = ReduceMin<axes = [2], keepdims = 0>(k)
        """,
        "a", "1,2,2,1", "1,2,1", True, Layers({"Conv": 1, "ReduceMin": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = ReduceMin<axes = [2], keepdims = 0>(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = Flatten(k)
        """,
        "a", "1,2,2,1", "1,4", True, Layers({"Conv": 1, "Flatten": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Flatten(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = GlobalMaxPool(k)
        """,
        "a", "1,2,2,1", "1,2,1,1", True, Layers({"Conv": 1, "GlobalMaxPool": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = GlobalMaxPool(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Constant<value = int64[1] {3}>()
          a = Squeeze(k, i)
        """,
        "a", "1,2,2,1", "1,2,2", True, Layers({"Conv": 1, "Squeeze": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Squeeze(t6, i64[1]{3})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Constant<value = int64[1] {4}>()
          a = Unsqueeze(k, i)
        """,
        "a", "1,2,2,1", "1,2,2,1,1", True, Layers({"Conv": 1, "Unsqueeze": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Unsqueeze(t6, i64[1]{4})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Constant<value = int64[1] {0}>()
          j = Constant<value = int64[1] {1}>()  a = Slice(k, i, j)
        """,
        "a", "1,2,2,1", "1,2,2,1", True, Layers({"Conv": 1, "Slice": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Slice(t6, i64[1]{0}, i64[1]{1})
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = Transpose<perm = [0,2,1,3]>(k)
        """,
        "a", "1,2,2,1", "1,2,2,1", True, Layers({"Conv": 1, "Transpose": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Transpose<perm = [0, 2, 1, 3]>(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = ReduceMean<axes = [2]>(k)
        """,
        "a", "1,2,2,1", "1,2,1,1", True, Layers({"Conv": 1, "ReduceMean": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = ReduceMean<axes = [2]>(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = GlobalAveragePool(k)
        """,
        "a", "1,2,2,1", "1,2,1,1", True, Layers({"Conv": 1, "GlobalAveragePool": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = GlobalAveragePool(t6)
          t8 = QuantizeLinear(t7, f32[]{0.25}, i8[]{0})
          t9 = DequantizeLinear(t8, f32[]{0.25}, i8[]{0})
          y = Add(t9, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  a = LogSoftmax<axis = 1>(k)
        """,
        "a", "1,2,2,1", "1,2,2,1", True, Layers({"Conv": 1}, {"LogSoftmax": 1}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = LogSoftmax<axis = 1>(t6)
          t8 = Add(t7, f32[]{1})
          t9 = QuantizeLinear(t8, f32[]{0.25}, i8[]{0})
          t10 = DequantizeLinear(t9, f32[]{0.25}, i8[]{0})
          y = Add(t10, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  t = ReduceMax<keepdims = 0>(d)
          a = Clip(k, t)
        """,
        "a", "1,2,2,1", "1,2,2,1", True, Layers({"Clip": 1, "Conv": 1, "ReduceMax": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Add(t6, f32[]{-1})
          t8 = ReduceMax<keepdims = 0>(t2)
          t9 = Add(t8, f32[]{1.5})
          t10 = Clip(t7, t9)
          t11 = Add(t10, f32[]{1})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)
          b = ReduceMax<axes = [0,2,3], keepdims = 0>(d)  c = Conv(k, w, b)
        """,
        "c", "1,2,2,1", "1,2,2,1", True, Layers({"Conv": 1, "ReduceMax": 1}, {"Conv": 1}, 0.5),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Add(t6, f32[]{-1})
          t8 = ReduceMax<axes = [0, 2, 3], keepdims = 0>(t2)
          t9 = Add(t8, f32[]{1.5})
          t10 = Conv(t7, f32[2, 2, 1, 1]{0.127 -0.05 0.1 0.254}, t9)
          t11 = Add(t10, f32[]{1})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)
          a = Concat<axis = 1>(i, d)
        """,
        "a", "1,2,1,1", "1,6,1,1", True, Layers({"Concat": 2, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{1.5 1.5 -1 -1})
          t9 = Add(t2, f32[]{1.5})
          t10 = Concat<axis = 1>(t8, t9)
          t11 = Add(t10, f32[]{1})
          t12 = QuantizeLinear(t11, f32[]{0.25}, i8[]{0})
          t13 = DequantizeLinear(t12, f32[]{0.25}, i8[]{0})
          y = Add(t13, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)
          p = Constant<value = int64[8] {0,0,1,0,0,0,0,0}>()  a = Pad(i, p)
        """,
        "a", "1,2,1,1", "1,4,2,1", True, Layers({"Concat": 1, "Conv": 1, "Pad": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{1.5 1.5 -1 -1})
          t9 = Pad(t8, i64[8]{0 0 1 0 0 0 0 0})
          t10 = Add(t9, f32[]{1})
          t11 = QuantizeLinear(t10, f32[]{0.25}, i8[]{0})
          t12 = DequantizeLinear(t11, f32[]{0.25}, i8[]{0})
          y = Add(t12, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)
          a = MaxPool<kernel_shape = [1,1]>(i)
        """,
        "a", "1,2,1,1", "1,4,1,1", True, Layers({"Concat": 1, "Conv": 1, "MaxPool": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{1.5 1.5 -1 -1})
          t9 = MaxPool<kernel_shape = [1, 1]>(t8)
          t10 = Add(t9, f32[]{1})
          t11 = QuantizeLinear(t10, f32[]{0.25}, i8[]{0})
          t12 = DequantizeLinear(t11, f32[]{0.25}, i8[]{0})
          y = Add(t12, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)  a = Relu(i)
        """,
        "a", "1,2,1,1", "1,4,1,1", True, Layers({"Clip": 1, "Concat": 1, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{2.5 2.5 0 0})
          t9 = Clip(t8, f32[]{1})
          t10 = QuantizeLinear(t9, f32[]{0.25}, i8[]{0})
          t11 = DequantizeLinear(t10, f32[]{0.25}, i8[]{0})
          y = Add(t11, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)
          j = Concat<axis = 1>(k, d)  a = Add(i, j)
        """,
        "a", "1,2,1,1", "1,4,1,1", True, Layers({"Add": 1, "Concat": 2, "Conv": 1}, {}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Concat<axis = 1>(t6, t2)
          t9 = Add(t7, t8)
          t10 = Add(t9, f32[1, 4, 1, 1]{1.5 1.5 1.5 1.5})
          t11 = QuantizeLinear(t10, f32[]{0.25}, i8[]{0})
          t12 = DequantizeLinear(t11, f32[]{0.25}, i8[]{0})
          y = Add(t12, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)
          a = Softmax<axis = 1>(i)
        """,
        "a", "1,2,1,1", "1,4,1,1", True, Layers({"Concat": 1, "Conv": 1}, {"Softmax": 1}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{1.5 1.5 -1 -1})
          t9 = Softmax<axis = 1>(t8)
          t10 = Add(t9, f32[]{1})
          t11 = QuantizeLinear(t10, f32[]{0.25}, i8[]{0})
          t12 = DequantizeLinear(t11, f32[]{0.25}, i8[]{0})
          y = Add(t12, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          m = QuantizeLinear(l, e, n)  k = DequantizeLinear(m, e, n)  i = Concat<axis = 1>(d, k)
          v = Constant<value = float[1,4,1,1] {0.127, 0.1, 0.05, 0.01}>()  a = Conv(i, v)
        """,
        "a", "1,2,1,1", "1,1,1,1", True, Layers({"Concat": 1, "Conv": 1}, {"Conv": 1}, 0.5),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{1.1155 1.531})
          t5 = QuantizeLinear(t4, f32[]{0.25}, i8[]{0})
          t6 = DequantizeLinear(t5, f32[]{0.25}, i8[]{0})
          t7 = Concat<axis = 1>(t2, t6)
          t8 = Add(t7, f32[1, 4, 1, 1]{1.5 1.5 -1 -1})
          t9 = Conv(t8, f32[1, 4, 1, 1]{0.127 0.1 0.05 0.01}, f32[1]{1})
          t10 = QuantizeLinear(t9, f32[]{0.25}, i8[]{0})
          t11 = DequantizeLinear(t10, f32[]{0.25}, i8[]{0})
          y = Add(t11, f32[]{-1})
        """,
    ),
    (
        """
          w = Constant<value = float[2,2,1,1] {0.127, -0.05, 0.1, 0.254}>()  l = Conv(d, w)
          f = Constant<value = float {2}>()  a = Mul(l, f)
        """,
        "a", "1,2,2,2", "1,2,2,2", True, Layers({"Conv": 1}, {"Mul": 1}, 1.0),
        """
          t3 = DequantizeLinear<axis = 0>(i8[2, 2, 1, 1]{127 -50 50 127}, f32[2]{0.001 0.002}, i8[2]{0 0})
          t4 = Conv(t2, t3, f32[2]{0.1155 0.531})
          t5 = Mul(t4, f32[]{2})
          t6 = Add(t5, f32[]{1})
          t7 = QuantizeLinear(t6, f32[]{0.25}, i8[]{0})
          t8 = DequantizeLinear(t7, f32[]{0.25}, i8[]{0})
          y = Add(t8, f32[]{-1})
        """,
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", NETWORKS)
def test_what_is_written(row: tuple[str, str, str, str, bool, Layers, str]) -> None:
    network, last, source, target, pads, counted, after = row
    body = " ".join((FRONT + network + BEHIND.replace("LAST", last)).split())
    made = clean(shift(pair_codes(clean(model(body, source, target))), pads=pads))
    onnx.checker.check_model(made, full_check=True)
    assert written(made) == [*WITHOUT, *(line.strip() for line in after.strip().splitlines())]
    assert layers(made) == counted


def test_of_a_network_without_weights_nothing_runs_on_codes() -> None:
    plain = clean(model("y = Relu(x)", "1,2,2,2", "1,2,2,2"))
    assert layers(plain) == Layers({}, {}, 0.0)
