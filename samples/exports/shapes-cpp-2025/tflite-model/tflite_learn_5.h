#ifndef MODEL_TFLITE_LEARN_5_H
#define MODEL_TFLITE_LEARN_5_H

#include "edge-impulse-sdk/classifier/ei_incbin.h"

const size_t tflite_learn_5_arena_size = 65536;

INCBIN(tflite_learn_5, "tflite-model/tflite_learn_5.tflite");

#endif // MODEL_TFLITE_LEARN_5_H
