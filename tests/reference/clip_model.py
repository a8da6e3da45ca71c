"""A small CLIP with both towers, and the outputs of transformers for images with it.

Writes tiny-clip/, a complete folder with random weights in float16: the towers differ in width and activation, the vocabulary
has CLIP's 512 letters and its first 64 merges. It has images beside it: one wider than high, and one smaller than the
model's 16x16 and higher than wide. Writes clip_model.safetensors, float32: `<image>/pixels` [1, 3, 16, 16] of
CLIPImageProcessor, `image_features` of both images and `text_features` of all texts, `logits_per_image`; and
clip_model.json: the texts, their ids, the probability and the cosine of every text for every image.
"""

import json

import numpy
import torch
from clip import randomise, tokenizer, write_json
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import vocabulary

MERGES = 64
TEXTS = ["a cat", "the red car", "<|endoftext|>", "a picture of something that is longer than the model can read in one go"]
PICTURES = {"wide": (28, 40), "small": (13, 10)}  # height, width

VOCABULARY = 512 + MERGES + 2
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 20,
    "bos_token_id": VOCABULARY - 2,
    "eos_token_id": VOCABULARY - 1,
    "pad_token_id": VOCABULARY - 1,
}
VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 16,
    "patch_size": 5,  # the last row and column of pixels are left over
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-3,
}


@torch.no_grad()
def dump(folder):
    torch.manual_seed(0)
    target = folder / "tiny-clip"
    target.mkdir(exist_ok=True)
    model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12)).eval()
    for part in (model.text_model, model.vision_model, model.text_projection, model.visual_projection):
        randomise(part)
    model.logit_scale.fill_(3.0)
    save_file({key: value.half().contiguous() for key, value in model.state_dict().items()}, target / "model.safetensors")
    model.config.save_pretrained(target)
    text = write_tokenizer(target)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16}, image_std=[0.25, 0.5, 1.0])
    processor.save_pretrained(target)
    pixels = {name: processor(picture(name, target), return_tensors="pt").pixel_values for name in PICTURES}
    ids = torch.tensor([text(one, padding="max_length", truncation=True).input_ids for one in TEXTS])
    output = model(ids, torch.cat(list(pixels.values())))
    tensors = {f"{name}/pixels": value for name, value in pixels.items()}
    tensors["image_features"] = model.get_image_features(torch.cat(list(pixels.values()))).pooler_output
    tensors["text_features"] = model.get_text_features(ids).pooler_output
    tensors["logits_per_image"] = output.logits_per_image
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "clip_model.safetensors")
    cosines = output.image_embeds @ output.text_embeds.T
    results = {"probabilities": output.logits_per_image.softmax(1), "cosines": cosines}
    results = {key: dict(zip(PICTURES, value.tolist())) for key, value in results.items()}
    write_json(folder / "clip_model.json", {"texts": TEXTS, "ids": ids.tolist(), **results})


def write_tokenizer(target):
    """The letters and the first merges of the published vocabulary, and BOS and EOS behind them."""
    names, merges = vocabulary.shipped()
    names = [*names][: 512 + MERGES] + [*names][-2:]
    tokens = {name: number for number, name in enumerate(names)}
    (target / "vocab.json").write_text(json.dumps(tokens, ensure_ascii=False) + "\n", "utf-8")
    (target / "merges.txt").write_text("".join(f"{left} {right}\n" for left, right in merges[:MERGES]), "utf-8")
    (target / "tokenizer_config.json").write_text(json.dumps({"model_max_length": TEXT["max_position_embeddings"]}) + "\n")
    text = tokenizer(tokens, merges[:MERGES], "<|endoftext|>")
    text.model_max_length = TEXT["max_position_embeddings"]
    return text


def picture(name, target):
    """Black and white noise, a ramp, and in one image transparency, which are hard for a resampling filter."""
    height, width = PICTURES[name]
    generator = numpy.random.default_rng(height)
    pixels = 255 * generator.integers(0, 2, (height, width, 4), dtype=numpy.uint8)
    pixels[: height // 2, :, 0] = numpy.linspace(0, 255, width)
    mode = {"wide": "RGB", "small": "RGBA"}[name]
    image = Image.fromarray(pixels[:, :, : len(mode)], mode)
    image.save(target / f"{name}.png")
    return image
