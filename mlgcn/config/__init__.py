"""The run configuration: its sections, the presets, and how both become one checked Config."""

from mlgcn.config.data import DataConfig, SourceConfig
from mlgcn.config.loss import LossConfig
from mlgcn.config.model import FusionConfig, ModelConfig, QueryConfig
from mlgcn.config.parsing import (
    changed_settings,
    compose_config,
    config_from_dict,
    config_to_dict,
    load_config,
    parse_arguments,
    parse_command,
    save_config,
)
from mlgcn.config.presets import preset_changes, preset_names, preset_published, preset_summary, read_preset
from mlgcn.config.sections import (
    Config,
    EmbeddingsConfig,
    EvaluationConfig,
    GraphConfig,
    OptimizerConfig,
    RunConfig,
    SamplerConfig,
    TrackingConfig,
    TrainingConfig,
)

__all__ = [
    "Config",
    "DataConfig",
    "EmbeddingsConfig",
    "EvaluationConfig",
    "FusionConfig",
    "GraphConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "QueryConfig",
    "RunConfig",
    "SamplerConfig",
    "SourceConfig",
    "TrackingConfig",
    "TrainingConfig",
    "changed_settings",
    "compose_config",
    "config_from_dict",
    "config_to_dict",
    "load_config",
    "parse_arguments",
    "parse_command",
    "preset_changes",
    "preset_names",
    "preset_published",
    "preset_summary",
    "read_preset",
    "save_config",
]
