#ifndef MODEL_VARIABLES_H
#define MODEL_VARIABLES_H

#include <stdint.h>
#include "model_metadata.h"
#include "tflite-model/tflite_learn_5.h"
#include "edge-impulse-sdk/classifier/ei_model_types.h"

const char* ei_classifier_inferencing_categories_734105_1[] = { "circle", "square", "star", "triangle" };
ei_dsp_config_image_t ei_dsp_config_4 = { 4, 1, 1, NULL, 0, "Grayscale" };
ei_model_dsp_t ei_dsp_blocks_734105_1[] = { { 4, 2304, &extract_image_features, (void*)&ei_dsp_config_4 } };
const ei_config_tflite_graph_t ei_config_graph_5 = {
    .implementation_version = 1,
    .model = tflite_learn_5,
    .model_size = tflite_learn_5_len,
};
const ei_learning_block_config_tflite_graph_t ei_learning_block_config_5 = {
    .implementation_version = 1,
    .block_id = 5,
    .quantized = 0,
    .compiled = 0,
    .graph_config = (void*)&ei_config_graph_5,
};
const ei_learning_block_t ei_learning_blocks_734105_1[] = {
    {
        5,
        &run_nn_inference,
        (void*)&ei_learning_block_config_5,
        EI_CLASSIFIER_IMAGE_SCALING_NONE,
        1,
    },
};
const ei_impulse_t impulse_734105_1 = {
    .project_id = 734105,
    .project_owner = "ei-deepstream samples",
    .project_name = "Wooden shapes",
    .impulse_id = 1,
    .impulse_name = "Impulse #1",
    .deploy_version = 5,
    .nn_input_frame_size = 2304,
    .raw_sample_count = 2304,
    .dsp_input_frame_size = 2304 * 1,
    .input_width = 48,
    .input_height = 48,
    .dsp_blocks = ei_dsp_blocks_734105_1,
    .learning_blocks = ei_learning_blocks_734105_1,
    .sensor = EI_CLASSIFIER_SENSOR_CAMERA,
    .has_anomaly = EI_ANOMALY_TYPE_UNKNOWN,
    .label_count = 4,
    .categories = ei_classifier_inferencing_categories_734105_1,
};
ei_impulse_handle_t impulse_handle_734105_1 = ei_impulse_handle_t(&impulse_734105_1);
ei_impulse_handle_t& ei_default_impulse = impulse_handle_734105_1;
constexpr auto& ei_classifier_inferencing_categories = ei_classifier_inferencing_categories_734105_1;

#endif // MODEL_VARIABLES_H
