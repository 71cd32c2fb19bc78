# ei-deepstream in a makefile: exports go in, folders for DeepStream come out, and only what changed is done again.
#
#   EI_MODELS    := fruit shapes                  names: a-z 0-9 - _
#   fruit.export := exports/fruit-bowl.zip        a zip, folder or file; default: exports/NAME.zip
#   include $(shell ei-deepstream --make-include)
#
# Targets
#   bundles                    every model's folder (the first target here, so the default one)
#   check                      the same, and `ei-deepstream check` of each; what it finds fails make
#   simulate                   the same, and `ei-deepstream simulate` for models with pictures
#   build/NAME/NAME.tflite     the model of the export; NAME.original.onnx where that is ONNX (NAME.format := onnx)
#   build/NAME/NAME.onnx       what DeepStream gets, proven: NAME.evidence.json beside it
#   bundles/NAME/config_infer_primary_NAME.txt, config_infer_secondary_NAME.txt, and bundles/NAME for all of it
#
# Variables, set before the include; NAME.x is for one model and stands behind EI_x, so it wins
#   EI                         the command                          ei-deepstream
#   EI_BUILD, EI_OUT           folders                              build, bundles
#   EI_TARGET, EI_PLATFORM     DeepStream release, jetson or dgpu   deepstream-7.1, jetson    NAME.target, NAME.platform
#   EI_UNPACK, EI_TRANSLATE, EI_ADAPT, EI_VALIDATE, EI_EMIT, EI_CHECK, EI_SIMULATE            NAME.unpack, ...
#                              options of these commands, as in a shell: --labels 'a;b' --batch-size 4
#                              The stages write one network, where `convert` writes two of a model trained on cropped
#                              pictures: EI_ADAPT := --frame 16:9 for whole frames of a camera (with EI_EMIT := --role
#                              pgie), nothing for the objects of another engine (--role sgie).
#   EI_ROUNDING                what of a quantized model is rounded in float32: auto, none, first or every (as --rounding,
#                              which every stage from translate to emit has to get alike)    auto    NAME.rounding
#   NAME.pictures              what `simulate` looks at, as in a shell: pictures, videos, folders; build/NAME/simulated has
#                              report.html and the rest
#
# How it works: build/NAME/STAGE.done holds the command that made a stage's files and the versions it ran with, and has
# the time at which the command began. A stage runs again when that text would be another, when a file it read is newer
# (STAGE.done.d, from --depfile), or when one of its files is gone. A command leaves a file alone whose content would
# stay the same, so that nothing behind it is done again. Files appear whole or not at all.

ifneq (,$(filter 3.% 4.0 4.0.% 4.1 4.1.%,$(MAKE_VERSION)))
$(error ei-deepstream.mk needs GNU make 4.2 or newer; this is $(MAKE_VERSION))
endif

EI          ?= ei-deepstream
EI_BUILD    ?= build
EI_OUT      ?= bundles
EI_TARGET   ?= deepstream-7.1
EI_PLATFORM ?= jetson

ei-hash    := \#
define ei-newline


endef

# Characters that would break a rule when they stand in a name that makes targets; exports may have them all.
ei-refused := $(ei-hash) % : = ; | & * ? [ ] ( ) < > \ ' " `
ei-chars    = $(strip $(foreach each,$(ei-refused) $$,$(findstring $(each),$1)))
ei-plain    = $(if $(and $(strip $2),$(if $(word 2,$2),,plain),$(if $(call ei-chars,$2),,plain)),,$(error $1 cannot be "$2": make has no blanks and none of $(ei-refused) $$ in the names of targets))
$(call ei-plain,EI_BUILD,$(EI_BUILD))
$(call ei-plain,EI_OUT,$(EI_OUT))
$(foreach model,$(EI_MODELS),$(call ei-plain,a name in EI_MODELS,$(model)))
$(foreach model,$(EI_MODELS),$(if $(findstring /,$(model)),$(error a name in EI_MODELS cannot be "$(model)": it is the name of a file)))
ifneq ($(words $(EI_MODELS)),$(words $(sort $(EI_MODELS))))
$(error EI_MODELS names a model twice: $(EI_MODELS))
endif

# Library versions decide bytes, so a new one does everything again (and writes what has changed).
EI_VERSIONS := $(shell $(EI) --version)
$(if $(EI_VERSIONS),,$(error $(EI) does not run; say where it is: make EI=path/to/ei-deepstream))

# $(call ei-quote,TEXT): one word for the shell.
ei-quote   = '$(subst ','\'',$1)'
ei-export  = $(or $($1.export),exports/$1.zip)
ei-work    = $(EI_BUILD)/$1
ei-bundle  = $(EI_OUT)/$1
ei-tflite  = $(ei-work)/$1$(if $(filter onnx,$($1.format))$(filter %.onnx,$(ei-export)),.original.onnx,.tflite)
ei-for     = --target $(or $($1.target),$(EI_TARGET)) --platform $(or $($1.platform),$(EI_PLATFORM))

# $(call ei-and,OPTIONS): with a blank before them, where there are any.
ei-and     = $(if $(strip $1), $1)

# A quantized model is unpacked as it is; every later command rewrites it for itself, to compare it with the original
# (--no-dequantize among EI_UNPACK or NAME.unpack: they do not, and refuse it).
ei-unpack-options = $(call ei-and,$(EI_UNPACK))$(call ei-and,$($1.unpack))
ei-dequantize     = $(if $(findstring --no-dequantize,$(ei-unpack-options)), --no-dequantize)
ei-rewriting      = $(ei-dequantize)$(if $(strip $($1.rounding)$(EI_ROUNDING)), --rounding $(strip $(or $($1.rounding),$(EI_ROUNDING))))

ei-do-unpack    = $(EI) unpack $(call ei-quote,$(ei-export)) -o $(ei-work) --name $1$(subst --no-dequantize,,$(subst --dequantize,,$(ei-unpack-options)))
ei-do-translate = $(EI) translate $(ei-tflite) -o $(ei-work)$(ei-rewriting)$(call ei-and,$(EI_TRANSLATE))$(call ei-and,$($1.translate))
ei-do-adapt     = $(EI) adapt $(ei-work)/$1.translated.onnx --tflite $(ei-tflite) -o $(ei-work)$(ei-rewriting)$(call ei-and,$(EI_ADAPT))$(call ei-and,$($1.adapt))
ei-do-validate  = $(EI) validate $(ei-work)/$1.onnx --tflite $(ei-tflite) -o $(ei-work)$(ei-rewriting)$(call ei-and,$(EI_VALIDATE))$(call ei-and,$($1.validate))
ei-do-emit      = $(EI) emit $(ei-work)/$1.onnx --tflite $(ei-tflite) -o $(ei-bundle)$(ei-rewriting) $(ei-for)$(call ei-and,$(EI_EMIT))$(call ei-and,$($1.emit))
ei-do-check     = $(EI) check $(ei-bundle) $(ei-for)$(call ei-and,$(EI_CHECK))$(call ei-and,$($1.check))
ei-do-simulate  = $(EI) simulate $(firstword $(ei-configs)) $($1.pictures) -o $(ei-work)/simulated $(ei-for)$(call ei-and,$(EI_SIMULATE))$(call ei-and,$($1.simulate))

# What `emit` writes depends on the role.
ei-role    = $(lastword both $(filter pgie sgie both,$(subst =, ,$(EI_EMIT) $($1.emit))))
ei-configs = $(foreach role,$(if $(filter sgie,$(ei-role)),,primary) $(if $(filter pgie,$(ei-role)),,secondary),$(ei-bundle)/config_infer_$(role)_$1.txt)
ei-files   = $(addprefix $(ei-bundle)/,$1.onnx $1_labels.txt deepstream_app_$1.txt build_engine.sh report.json) $(ei-configs)

# $(call ei-stamp,MODEL,STAGE): what a stage leaves behind when it has ended well.
ei-stamp = $(ei-work)/$2.done
ei-text  = $(call ei-do-$2,$1) $(ei-hash) $(EI_VERSIONS)
ei-read  = $(subst $(ei-newline),,$(file <$(ei-stamp)))# make 4.3 does not always leave the last line end out
ei-same  = $(and $(findstring <$1>,<$2>),$(findstring <$2>,<$1>))
ei-stale = $(if $(and $(call ei-same,$(ei-text),$(ei-read)),$(if $(filter-out $(wildcard $3),$3),,whole)),,ei-again)

# $(call ei-stage,MODEL,STAGE,FILES,PREREQUISITES): the rules of a stage that makes FILES. The stamp is made first and
# gets its name last: a file that changes while the command reads it is newer than the stamp.
define ei-stage
$(ei-stamp): $4 $(call ei-stale,$1,$2,$3)
	@mkdir -p $$(@D) && printf '%s\n' $$(call ei-quote,$$(call ei-text,$1,$2)) >$$@.part
	$$(call ei-do-$2,$1) --depfile $$@.d
	@$(foreach file,$3,test -f $(file) || { echo '$2 did not write $(file)' >&2; exit 1; };) mv -f $$@.part $$@
$(if $3,$3: $(ei-stamp) ;)
-include $(wildcard $(ei-stamp).d)
endef

define ei-model
$(call ei-stage,$1,unpack,$(ei-tflite) $(ei-work)/metadata.json)
$(call ei-stage,$1,translate,$(ei-work)/$1.translated.onnx,$(ei-tflite) $(ei-work)/metadata.json)
$(call ei-stage,$1,adapt,$(ei-work)/$1.onnx,$(ei-work)/$1.translated.onnx $(ei-tflite) $(ei-work)/metadata.json)
$(call ei-stage,$1,validate,$(ei-work)/$1.evidence.json,$(ei-work)/$1.onnx $(ei-tflite) $(ei-work)/metadata.json)
$(call ei-stage,$1,emit,$(ei-files),$(ei-work)/$1.evidence.json $(ei-work)/$1.onnx $(ei-tflite) $(ei-work)/metadata.json)
$(call ei-stage,$1,check,,$(ei-files))
$(call ei-stage,$1,simulate,$(ei-work)/simulated/report.html,$(ei-files))
.PHONY: $(ei-bundle)
$(ei-bundle): $(ei-files)
bundles: $(ei-bundle)
check: $(call ei-stamp,$1,check)
simulate: $(if $(strip $($1.pictures)),$(call ei-stamp,$1,simulate))
endef

.PHONY: bundles check simulate ei-again
bundles:
check: bundles
simulate: bundles
$(foreach model,$(EI_MODELS),$(eval $(call ei-model,$(model))))
