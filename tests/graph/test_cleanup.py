"""What the passes of `convert.graph.cleanup` write, to the last attribute and constant: what is computed may stay the
same where a graph is not as plain as it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from convert.graph.cleanup import (
    clean,
    fold,
    merge_reshapes,
    plain_clips,
    plain_comparisons,
    plain_integers,
    plain_quantization,
    plain_resizes,
    remove_transposes,
    resize_scales,
)
from tests.graph.proof import model, written

if TYPE_CHECKING:
    from collections.abc import Callable

# The pass, the shapes of x and y, the opset, the graph before and behind it.
PASSES = [
    (
        plain_resizes, "1,3,4,5", "1,3,8,15", 11,
        """
          r = Constant<value = float[0] {}>()  s = Constant<value = float[4] {1,1,2,3}>()
          y = Resize<coordinate_transformation_mode = "tf_half_pixel_for_nn">(x, r, s)
        """,
        """
          y = Resize<coordinate_transformation_mode = asymmetric, nearest_mode = floor>(x, f32[0]{}, f32[4]{1 1 2 3})
        """,
    ),
    (
        plain_resizes, "1,3,4,5", "1,3,6,10", 11,
        """
          r = Constant<value = float[0] {}>()  s = Constant<value = float[4] {1,1,1.5,2}>()
          y = Resize<coordinate_transformation_mode = "tf_half_pixel_for_nn">(x, r, s)
        """,
        """
          y = Resize<coordinate_transformation_mode = tf_half_pixel_for_nn>(x, f32[0]{}, f32[4]{1 1 1.5 2})
        """,
    ),
    (
        plain_resizes, "1,3,4,5", "1,3,8,10", 11,
        """
          s = Constant<value = float[4] {1,1,2,2}>()  q = Constant<value = float[0] {}>()
          y = Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">(x, q, s)
        """,
        """
          y = Resize<coordinate_transformation_mode = half_pixel, mode = linear>(x, f32[0]{}, f32[4]{1 1 2 2})
        """,
    ),
    (
        plain_resizes, "1,3,4,5", "1,3,8,10", 11,
        """
          r = Constant<value = float[0] {}>()  s = Constant<value = float[4] {1,1,2,2}>()
          y = Resize<coordinate_transformation_mode = "tf_half_pixel_for_nn">(x, r, s)
        """,
        """
          y = Resize<coordinate_transformation_mode = asymmetric, nearest_mode = floor>(x, f32[0]{}, f32[4]{1 1 2 2})
        """,
    ),
    (
        plain_resizes, "1,3,4,5", "1,3,7,11", 13,
        """
          s = Constant<value = int64[4] {1,3,7,11}>()
          y = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(x, , , s)
        """,
        """
          y = Resize<coordinate_transformation_mode = align_corners, mode = linear>(x, , f32[4]{1 1 1.75 2.2})
        """,
    ),
    (
        plain_resizes, "1,3,4,5", "1,3,8,15", 18,
        """
          s = Constant<value = int64[2] {8,15}>()  y = Resize<mode = "linear", axes = [2, 3]>(x, , , s)
        """,
        """
          y = Resize<axes = [2, 3], mode = linear>(x, , , i64[2]{8 15})
        """,
    ),
    (
        plain_resizes, "1,3,4,5", "1,3,8,10", 10,
        """
          s = Constant<value = float[4] {1,1,2,2}>()  y = Resize(x, s)
        """,
        """
          y = Resize(x, f32[4]{1 1 2 2})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,2,2,3", 13,
        """
          c = Constant<value = float[3] {1,2,3}>()  a = Transpose<perm = [0,2,3,1]>(x)  b = Add(a, c)  y = Relu(b)
        """,
        """
          t0 = Add(x, f32[1, 3, 1, 1]{1 2 3})
          t1 = Relu(t0)
          y = Transpose<perm = [0, 2, 3, 1]>(t1)
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,2,2,3", 13,
        """
          c = Constant<value = float[2,1] {1,2}>()  a = Transpose<perm = [0,2,3,1]>(x)  b = Add(a, c)  y = Relu(b)
        """,
        """
          t0 = Add(x, f32[1, 1, 1, 2]{1 2})
          t1 = Relu(t0)
          y = Transpose<perm = [0, 2, 3, 1]>(t1)
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,2,2,3", 13,
        """
          c = Constant<value = float[1] {7}>()  a = Transpose<perm = [0,2,3,1]>(x)  y = Mul(c, a)
        """,
        """
          t0 = Mul(f32[1]{7}, x)
          y = Transpose<perm = [0, 2, 3, 1]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,2,2,3", 13,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  m = ReduceMax<axes = [2,3]>(x)
          s = Constant<value = int64[3] {1,1,3}>()  r = Reshape(m, s)  y = Sub(a, r)
        """,
        """
          t0 = ReduceMax<axes = [2, 3]>(x)
          t1 = Sub(x, t0)
          y = Transpose<perm = [0, 2, 3, 1]>(t1)
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,2,2,3", 13,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  l = Constant<value = float {0}>()  y = Clip(a, , l)
        """,
        """
          t0 = Clip(x, , f32[]{0})
          y = Transpose<perm = [0, 2, 3, 1]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,2,2,3", 13,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  t = Relu(x)  b = Transpose<perm = [0,2,3,1]>(t)  y = Sub(a, b)
        """,
        """
          t0 = Relu(x)
          t1 = Sub(x, t0)
          y = Transpose<perm = [0, 2, 3, 1]>(t1)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,1,1,3", 11,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  y = ReduceMean<axes = [-2,1]>(a)
        """,
        """
          t0 = ReduceMean<axes = [2, 3]>(x)
          y = Reshape(t0, i64[4]{1 1 1 3})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,3", 11,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  y = ReduceMean<axes = [-2,1], keepdims = 0>(a)
        """,
        """
          y = ReduceMean<axes = [2, 3], keepdims = 0>(x)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,5,3", 11,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  y = ReduceMean<axes = [1], keepdims = 0>(a)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          y = ReduceMean<axes = [1], keepdims = 0>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,1,1,1", 11,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  y = ReduceMean(a)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          y = ReduceMean(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,5", 13,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  i = Constant<value = int64[2] {-1, 1}>()
          y = ReduceSum<keepdims = 0>(a, i)
        """,
        """
          y = ReduceSum<keepdims = 0>(x, i64[2]{1 2})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,1,1,3", 13,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  i = Constant<value = int64[2] {2, 1}>()  y = ReduceSum(a, i)
        """,
        """
          t0 = ReduceSum(x, i64[2]{2 3})
          y = Reshape(t0, i64[4]{1 1 1 3})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,8,7,3", 13,
        """
          p = Constant<value = int64[8] {0,1,2,0, 0,3,0,0}>()  a = Transpose<perm = [0,2,3,1]>(x)
          y = Pad<mode = "edge">(a, p)
        """,
        """
          t0 = Pad<mode = edge>(x, i64[8]{0 0 1 2 0 0 3 0})
          y = Transpose<perm = [0, 2, 3, 1]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,4,2,3", 13,
        """
          i = Constant<value = int64[2] {2, 0}>()  a = Transpose<perm = [0,2,3,1]>(x)  y = Gather<axis = 2>(a, i)
        """,
        """
          t0 = Gather<axis = 3>(x, i64[2]{2 0})
          y = Transpose<perm = [0, 2, 3, 1]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,4,3", 13,
        """
          i = Constant<value = int64 {2}>()  a = Transpose<perm = [0,2,3,1]>(x)  y = Gather<axis = 2>(a, i)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          y = Gather<axis = 2>(t0, i64[]{2})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,4,7,3", 13,
        """
          i = Constant<value = int64[2] {2, 0}>()  a = Transpose<perm = [0,2,3,1]>(x)  b = Gather<axis = 2>(a, i)
          y = Concat<axis = 2>(a, b)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          t1 = Gather<axis = 2>(t0, i64[2]{2 0})
          y = Concat<axis = 2>(t0, t1)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "4,1,3,5", 13,
        """
          a = Transpose<perm = [0,2,3,1]>(x)  y = Transpose<perm = [1,0,3,2]>(a)
        """,
        """
          y = Transpose<perm = [2, 0, 1, 3]>(x)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "4,5,1,3", 13,
        """
          a = Transpose(x)  y = Transpose<perm = [1,0,3,2]>(a)
        """,
        """
          y = Transpose<perm = [2, 3, 0, 1]>(x)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "4,5,1,3", 13,
        """
          a = Transpose<perm = [1,0,3,2]>(x)  y = Transpose(a)
        """,
        """
          y = Transpose<perm = [2, 3, 0, 1]>(x)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,3,1,20", 13,
        """
          s = Constant<value = int64[4] {1,1,20,3}>()  a = Transpose<perm = [0,2,3,1]>(x)  b = Reshape(a, s)
          k = Constant<value = float {2}>()  c = Mul(b, k)  y = Transpose<perm = [0,3,1,2]>(c)
        """,
        """
          t0 = Mul(x, f32[]{2})
          y = Reshape(t0, i64[4]{1 3 1 20})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1", 13,
        """
          s = Constant<value = int64[2] {1,12}>()  w = Constant<value = float[12,1] {0,1,2,3,4,5,6,7,8,9,10,11}>()
          a = Transpose<perm = [0,2,3,1]>(x)  b = Reshape(a, s)  y = MatMul(b, w)
        """,
        """
          t0 = Reshape(x, i64[2]{1 12})
          y = MatMul(t0, f32[12, 1]{0 3 6 9 1 4 7 10 2 5 8 11})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1", 13,
        """
          s = Constant<value = int64[2] {1,12}>()  w = Constant<value = float[1,12] {0,1,2,3,4,5,6,7,8,9,10,11}>()
          c = Constant<value = float[1] {9}>()  a = Transpose<perm = [0,3,2,1]>(x)  b = Reshape(a, s)  r = Relu(b)
          y = Gemm<transB = 1, alpha = 2.0>(r, w, c)
        """,
        """
          t0 = Reshape(x, i64[2]{1 12})
          t1 = Relu(t0)
          y = Gemm<alpha = 2.0, transB = 1>(t1, f32[1, 12]{0 6 3 9 1 7 4 10 2 8 5 11}, f32[1]{9})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1", 13,
        """
          p = Constant<value = int64[2] {4,3}>()  s = Constant<value = int64[2] {1,8}>()
          w = Constant<value = float[3,2] {0,1,2,3,4,5}>()  c = Constant<value = float {9}>()
          v = Constant<value = float[8,1] {0,1,2,3,4,5,6,7}>()  a = Transpose<perm = [0,2,3,1]>(x)
          b = Reshape(a, p)  d = Gemm(b, w, c)  e = Reshape(d, s)  y = MatMul(e, v)
        """,
        """
          t0 = Conv<kernel_shape = [1, 1]>(x, f32[2, 3, 1, 1]{0 2 4 1 3 5}, f32[2]{9 9})
          t1 = Reshape(t0, i64[2]{1 8})
          y = MatMul(t1, f32[8, 1]{0 2 4 6 1 3 5 7})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1", 13,
        """
          s = Constant<value = int64[2] {1,8}>()  w = Constant<value = float[3,2] {0,1,2,3,4,5}>()
          c = Constant<value = float[1,1,1,2] {8,9}>()  v = Constant<value = float[8,1] {0,1,2,3,4,5,6,7}>()
          a = Transpose<perm = [0,2,3,1]>(x)  b = MatMul(a, w)  d = Add(b, c)  e = Reshape(d, s)  y = MatMul(e, v)
        """,
        """
          t0 = Conv<kernel_shape = [1, 1]>(x, f32[2, 3, 1, 1]{0 2 4 1 3 5})
          t1 = Add(t0, f32[2, 1, 1]{8 9})
          t2 = Reshape(t1, i64[2]{1 8})
          y = MatMul(t2, f32[8, 1]{0 2 4 6 1 3 5 7})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1", 13,
        """
          p = Constant<value = int64[2] {4,3}>()  s = Constant<value = int64[2] {1,8}>()
          w = Constant<value = float[3,2] {0,1,2,3,4,5}>()  c = Constant<value = float[2] {9,8}>()
          v = Constant<value = float[8,1] {0,1,2,3,4,5,6,7}>()  a = Transpose<perm = [0,2,3,1]>(x)
          b = Reshape(a, p)  d = Gemm<beta = 2.0>(b, w, c)  e = Reshape(d, s)  y = MatMul(e, v)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          t1 = Reshape(t0, i64[2]{4 3})
          t2 = Gemm<beta = 2.0>(t1, f32[3, 2]{0 1 2 3 4 5}, f32[2]{9 8})
          t3 = Reshape(t2, i64[2]{1 8})
          y = MatMul(t3, f32[8, 1]{0 1 2 3 4 5 6 7})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "12,1", 13,
        """
          s = Constant<value = int64[2] {1,12}>()  w = Constant<value = float[1,1] {2}>()
          a = Transpose<perm = [0,2,3,1]>(x)  b = Reshape(a, s)  y = Gemm<transA = 1>(b, w)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          t1 = Reshape(t0, i64[2]{1 12})
          y = Gemm<transA = 1>(t1, f32[1, 1]{2})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "5,4,3,1", 13,
        """
          a = Transpose(x)  y = Relu(a)
        """,
        """
          t0 = Relu(x)
          y = Transpose<perm = [3, 2, 1, 0]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "5,4,3,1", 13,
        """
          c = Constant<value = float[3,1] {1,2,3}>()  a = Transpose(x)  y = Add(a, c)
        """,
        """
          t0 = Add(x, f32[1, 3, 1, 1]{1 2 3})
          y = Transpose<perm = [3, 2, 1, 0]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "3,1", 13,
        """
          a = Transpose(x)  y = ReduceMax<axes = [0,1], keepdims = 0>(a)
        """,
        """
          t0 = Transpose(x)
          y = ReduceMax<axes = [0, 1], keepdims = 0>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,1,1,1", 13,
        """
          a = Transpose(x)  y = ReduceMax<axes = [0,1,2]>(a)
        """,
        """
          y = ReduceMax<axes = [1, 2, 3]>(x)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "2,4,3,1", 13,
        """
          i = Constant<value = int64[2] {2, 0}>()  a = Transpose(x)  y = Gather(a, i)
        """,
        """
          t0 = Gather<axis = 3>(x, i64[2]{2 0})
          y = Transpose<perm = [3, 2, 1, 0]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "6,9,3,1", 13,
        """
          p = Constant<value = int64[8] {1,2,0,0, 0,3,0,0}>()  a = Transpose(x)  y = Pad(a, p)
        """,
        """
          t0 = Pad(x, i64[8]{0 0 2 1 0 0 3 0})
          y = Transpose<perm = [3, 2, 1, 0]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "5,4,4,2", 13,
        """
          p = Constant<value = int64[8] {0,0,1,1, 0,0,0,0}>()  a = Transpose(x)  y = Pad(a, p)
        """,
        """
          t0 = Transpose(x)
          y = Pad(t0, i64[8]{0 0 1 1 0 0 0 0})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "1,3,20", 13,
        """
          s = Constant<value = int64[4] {5,4,1,3}>()  t = Constant<value = int64[3] {20,3,1}>()  a = Transpose(x)
          b = Reshape(a, t)  y = Transpose(b)
        """,
        """
          t0 = Transpose(x)
          t1 = Reshape(t0, i64[3]{20 3 1})
          y = Transpose(t1)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "5,4,3", 13,
        """
          a = Transpose(x)  i = Constant<value = int64[1] {-1}>()  y = ReduceSum<keepdims = 0>(a, i)
        """,
        """
          t0 = Transpose(x)
          y = ReduceSum<keepdims = 0>(t0, i64[1]{-1})
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "5,4,3,1", 13,
        """
          a = Transpose(x)  b = Transpose(x)  y = Mul(a, b)
        """,
        """
          t0 = Mul(x, x)
          y = Transpose<perm = [3, 2, 1, 0]>(t0)
        """,
    ),
    (
        remove_transposes, "1,3,4,5", "10,4,3,1", 13,
        """
          a = Transpose(x)  b = Relu(a)  y = Concat<axis = 0>(a, b)
        """,
        """
          t0 = Transpose(x)
          t1 = Relu(t0)
          y = Concat<axis = 0>(t0, t1)
        """,
    ),
    (
        merge_reshapes, "1,3,1,1", "1,1,3,1", 13,
        """
          a = Transpose(x)  y = Relu(a)
        """,
        """
          t0 = Reshape(x, i64[4]{1 1 3 1})
          y = Relu(t0)
        """,
    ),
    (
        merge_reshapes, "2,3,1,1", "1,1,3,2", 13,
        """
          a = Transpose(x)  y = Relu(a)
        """,
        """
          t0 = Transpose(x)
          y = Relu(t0)
        """,
    ),
    (
        clean, "1,3,4,2", "1,3,4,2", 13,
        """
          a = Identity(x)  c = Constant<value_floats = [1.0, 1.0]>()  d = Constant<value = float[2] {1,1}>()
          e = Add(a, c)  y = Mul(e, d)
        """,
        """
          t0 = Add(x, f32[2]{1 1})
          y = Mul(t0, f32[2]{1 1})
        """,
    ),
    (
        plain_comparisons, "1,3,4,2", "1,3,4,2", 13,
        """
          z = Constant<value_float = 0.0>()  b = GreaterOrEqual(x, z)  c = LessOrEqual(x, z)  d = And(b, c)
          y = Cast<to = 1>(d)
        """,
        """
          t0 = Less(x, f32[]{0})
          t1 = Not(t0)
          t2 = Greater(x, f32[]{0})
          t3 = Not(t2)
          t4 = And(t1, t3)
          y = Cast<to = 1>(t4)
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1,1", 13,
        """
          s = Constant<value = int64[2] {1,12}>()
          w = Constant<value = float[1,12,1] {0,1,2,3,4,5,6,7,8,9,10,11}>()  a = Transpose<perm = [0,2,3,1]>(x)
          b = Reshape(a, s)  y = MatMul(b, w)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          t1 = Reshape(t0, i64[2]{1 12})
          y = MatMul(t1, f32[1, 12, 1]{0 1 2 3 4 5 6 7 8 9 10 11})
        """,
    ),
    (
        remove_transposes, "1,3,2,2", "1,1", 13,
        """
          s = Constant<value = int64[2] {1,12}>()  t = Constant<value = int64[2] {12,1}>()
          a = Transpose<perm = [0,2,3,1]>(x)  b = Reshape(a, s)  c = Reshape(x, t)  y = MatMul(b, c)
        """,
        """
          t0 = Transpose<perm = [0, 2, 3, 1]>(x)
          t1 = Reshape(t0, i64[2]{1 12})
          t2 = Reshape(x, i64[2]{12 1})
          y = MatMul(t1, t2)
        """,
    ),
    (
        merge_reshapes, "1,3,4,5", "1,60", 13,
        """
          s = Constant<value = int64[2] {1,-1}>()  a = Flatten<axis = 2>(x)  y = Reshape(a, s)
        """,
        """
          y = Reshape(x, i64[2]{1 60})
        """,
    ),
    (
        merge_reshapes, "1,3,4,5", "12,5", 13,
        """
          y = Flatten<axis = 3>(x)
        """,
        """
          y = Reshape(x, i64[2]{12 5})
        """,
    ),
    (
        merge_reshapes, "1,3,1,5", "1,1,3,5", 13,
        """
          a = Transpose<perm = [0,2,1,3]>(x)  y = Relu(a)
        """,
        """
          t0 = Reshape(x, i64[4]{1 1 3 5})
          y = Relu(t0)
        """,
    ),
    (
        merge_reshapes, "1,3,4,5", "3,4,5", 13,
        """
          z = Constant<value = int64[1] {0}>()  a = Relu(x)  y = Squeeze(a, z)
        """,
        """
          t0 = Relu(x)
          y = Reshape(t0, i64[3]{3 4 5})
        """,
    ),
    (
        plain_clips, "1,3,4,5", "1,3,4,5", 13,
        """
          l = ReduceMin<keepdims = 0>(x)  h = Constant<value_float = 1.0>()  y = Clip(x, l, h)
        """,
        """
          t0 = ReduceMin<keepdims = 0>(x)
          t1 = Max(x, t0)
          y = Min(t1, f32[]{1})
        """,
    ),
    (
        plain_clips, "1,3,4,5", "1,3,4,5", 13,
        """
          h = ReduceMax<keepdims = 0>(x)  y = Clip(x, , h)
        """,
        """
          t0 = ReduceMax<keepdims = 0>(x)
          y = Min(x, t0)
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.05}>()  z = Constant<value = uint8 {30}>()  a = QuantizeLinear(x, s, z)
          y = DequantizeLinear(a, s, z)
        """,
        """
          t0 = Div(x, f32[]{0.05})
          t1 = Add(t0, f32[]{0.5})
          t2 = Floor(t1)
          t3 = Clip(t2, f32[]{-30}, f32[]{225})
          y = Mul(t3, f32[]{0.05})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.05}>()  z = Constant<value = int8 {30}>()  a = QuantizeLinear(x, s, z)
          y = DequantizeLinear(a, s, z)
        """,
        """
          t0 = Div(x, f32[]{0.05})
          t1 = Add(t0, f32[]{0.5})
          t2 = Floor(t1)
          t3 = Clip(t2, f32[]{-158}, f32[]{97})
          y = Mul(t3, f32[]{0.05})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.05}>()  z = Constant<value = int8 {30}>()
          o = Constant<value = int8 {31}>()  a = QuantizeLinear(x, s, z)  y = DequantizeLinear(a, s, o)
        """,
        """
          t0 = QuantizeLinear(x, f32[]{0.05}, i8[]{30})
          y = DequantizeLinear(t0, f32[]{0.05}, i8[]{31})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.05}>()  t = Constant<value = float {0.5}>()
          z = Constant<value = int8 {30}>()  a = QuantizeLinear(x, s, z)  y = DequantizeLinear(a, t, z)
        """,
        """
          t0 = QuantizeLinear(x, f32[]{0.05}, i8[]{30})
          y = DequantizeLinear(t0, f32[]{0.5}, i8[]{30})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.05}>()  a = QuantizeLinear(x, s)  y = DequantizeLinear(a, s)
        """,
        """
          t0 = QuantizeLinear(x, f32[]{0.05})
          y = DequantizeLinear(t0, f32[]{0.05})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float[3] {0.05,0.1,0.2}>()  z = Constant<value = int8[3] {30,1,2}>()
          a = QuantizeLinear<axis = 1>(x, s, z)  y = DequantizeLinear<axis = 1>(a, s, z)
        """,
        """
          t0 = QuantizeLinear<axis = 1>(x, f32[3]{0.05 0.1 0.2}, i8[3]{30 1 2})
          y = DequantizeLinear<axis = 1>(t0, f32[3]{0.05 0.1 0.2}, i8[3]{30 1 2})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.05}>()  z = Constant<value = uint8 {30}>()  a = QuantizeLinear(x, s, z)
          m = MaxPool<kernel_shape = [1,1]>(a)  y = DequantizeLinear(m, s, z)
        """,
        """
          t0 = QuantizeLinear(x, f32[]{0.05}, u8[]{30})
          t1 = MaxPool<kernel_shape = [1, 1]>(t0)
          y = DequantizeLinear(t1, f32[]{0.05}, u8[]{30})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          w = Constant<value = int8[1] {3}>()  s = Constant<value = float {0.5}>()
          z = Constant<value = int8 {4}>()  d = DequantizeLinear(w, s, z)  y = Mul(x, d)
        """,
        """
          t0 = DequantizeLinear(i8[1]{3}, f32[]{0.5}, i8[]{4})
          y = Mul(x, t0)
        """,
    ),
    (
        plain_integers, "1,3,4,5", "1,3,4,5", 13,
        """
          c = Cast<to = 2>(x)  y = Cast<to = 1>(c)
        """,
        """
          t0 = Cast<to = 6>(x)
          y = Cast<to = 1>(t0)
        """,
    ),
    (
        plain_integers, "1,3,4,5", "1,3,4,5", 13,
        """
          c = Cast<to = 7>(x)  y = Cast<to = 1>(c)
        """,
        """
          t0 = Cast<to = 7>(x)
          y = Cast<to = 1>(t0)
        """,
    ),
    (
        fold, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Shape(x)  z = Constant<value = int64[1] {0}>()  u = Unsqueeze(s, z)  f = Cast<to = 1>(u)
          m = ReduceSum(f)  y = Mul(x, m)
        """,
        """
          y = Mul(x, f32[1, 1]{13})
        """,
    ),
    (
        fold, "1,3,4,5", "1,3,4,5", 13,
        """
          c = Constant<value = bool[1] {0}>()  k = Constant<value = float[1] {2}>()  y = Where(c, x, k)
        """,
        """
          y = Where(b8[1]{0}, x, f32[1]{2})
        """,
    ),
    (
        plain_quantization, "1,3,4,5", "1,3,4,5", 13,
        """
          s = Constant<value = float {0.5}>()  z = Constant<value = uint8 {30}>()  a = QuantizeLinear(x, s, z)
          y = DequantizeLinear(a, s)
        """,
        """
          t0 = QuantizeLinear(x, f32[]{0.5}, u8[]{30})
          y = DequantizeLinear(t0, f32[]{0.5})
        """,
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", PASSES)
def test_what_is_written(row: tuple[Callable[[onnx.ModelProto], onnx.ModelProto], str, str, int, str, str]) -> None:
    step, source, target, opset, before, after = row
    plain = clean(model(" ".join(before.split()), source, target, opset))
    made = step(merge_reshapes(plain) if step is remove_transposes else plain)
    onnx.checker.check_model(made, full_check=True)
    assert written(made) == [line.strip() for line in after.strip().splitlines()]


@pytest.mark.parametrize(
    ("before", "after", "scales"),
    [
        ([1, 3, 4, 5], [1, 3, 8, 15], [1, 1, 2, 3]),
        ([1, 3, 8, 8], [1, 3, 4, 2], [1, 1, 0.5, 0.25]),
        ([6], [7], [7 / 6]),
        ([3], [1], [1 / 3]),
        ([96], [95], [95 / 96]),
    ],
)
def test_factors_of_sizes(before: list[int], after: list[int], scales: list[float]) -> None:
    """In float32 and in float64 they give the same size."""
    found = resize_scales(np.array(before), np.array(after))
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scales, rtol=2e-7)
    for kind in (np.float32, np.float64):
        assert np.floor(np.array(before, kind) * found.astype(kind)).tolist() == after
