"""Stable Diffusion models with random weights for bench.js: folders that pyrograph loads, each with the UNet as unet.onnx beside it.

    python make_models.py FOLDER        # with the packages of tests/reference/requirements.txt, onnx and onnxscript
"""

import pathlib
import sys

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TOKENIZER = pathlib.Path(__file__).resolve().parents[3] / "assets/spark/tokenizer"
SIZES = {
    "tiny": {"block_out_channels": [128, 224], "layers_per_block": 1, "sample_size": 8, "in_channels": 16, "cross_attention_dim": 128},
    "medium": {"block_out_channels": [128, 256, 512], "layers_per_block": 2, "sample_size": 32, "in_channels": 4, "cross_attention_dim": 512},
}


def make(folder, size):
    torch.manual_seed(0)
    width, channels, levels = size["cross_attention_dim"], size["in_channels"], len(size["block_out_channels"])
    unet = UNet2DConditionModel(
        **size,
        out_channels=channels,
        down_block_types=["CrossAttnDownBlock2D"] * levels,
        up_block_types=["CrossAttnUpBlock2D"] * levels,
        attention_head_dim=8,
        norm_num_groups=16,
    ).eval()
    blocks = [16] * 4
    vae = AutoencoderKL(
        latent_channels=channels,
        block_out_channels=blocks,
        down_block_types=["DownEncoderBlock2D"] * len(blocks),
        up_block_types=["UpDecoderBlock2D"] * len(blocks),
        norm_num_groups=1,
    )
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
    )
    StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler(clip_sample=False),
        safety_checker=None, feature_extractor=None,
    ).save_pretrained(folder)
    side, tokens = size["sample_size"], tokenizer.model_max_length
    inputs = (torch.randn(1, channels, side, side), torch.tensor([500.0]), torch.randn(1, tokens, width))
    names = ["sample", "timestep", "encoder_hidden_states"]
    torch.onnx.export(unet, inputs, folder / "unet.onnx", input_names=names, output_names=["out"], external_data=False)


if __name__ == "__main__":
    for name, size in SIZES.items():
        make(pathlib.Path(sys.argv[1]) / name, size)
