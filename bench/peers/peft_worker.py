#!/usr/bin/env python3
"""PEFT with transformers behind a pipe; runs in PEFT's own environment.

  peft_worker.py MODEL_DIR THREADS DTYPE NAME=ADAPTER_DIR …     DTYPE: bf16 or f32

Reads one JSON object a line and answers with one:
  {"do": "wave", "prompts": [[ids]], "adapters": [name | null], "max_tokens", "batch",
   "one_active": bool}      → {"requests", "completion_tokens", "seconds", "outputs"}
  {"do": "encode", "texts"} → {"prompts": [[ids]]}
  {"do": "oracle", "prompts", "adapters", "max_tokens", "best"}
       → {"answers": [{"tokens": [ids], "best": [[[id, logit], …] for each token]}]}, each request
         alone, in f32
A wave goes through `generate` in batches of `batch`: without adapters through the plain model, with
one adapter for all through that adapter made active (`one_active`) or by names, else by names.
"""

import json
import os
import sys
import time

import torch
import transformers
from peft import PeftModel


class Worker:
    def __init__(self, model_dir, dtype, adapters):
        self._model_dir = model_dir
        self._adapters = adapters
        self._plain = self._load(dtype)
        self._tuned = self._with_adapters(self._load(dtype))

    def serve(self, message):
        return getattr(self, "_" + message.pop("do"))(**message)

    def _load(self, dtype):
        model = transformers.AutoModelForCausalLM.from_pretrained(self._model_dir, dtype=dtype)
        model.eval()
        # Nothing ends an answer early, and nothing but the logits says which token comes.
        model.generation_config = transformers.GenerationConfig(
            do_sample=False, eos_token_id=None, pad_token_id=0)
        return model

    def _with_adapters(self, model):
        names = iter(self._adapters.items())
        name, path = next(names)
        # In the model's type, as Chorus has them.
        tuned = PeftModel.from_pretrained(model, path, adapter_name=name,
                                          autocast_adapter_dtype=False)
        for name, path in names:
            tuned.load_adapter(path, adapter_name=name, autocast_adapter_dtype=False)
        tuned.eval()
        return tuned

    def _wave(self, prompts, adapters, max_tokens, batch, one_active):
        outputs = []
        begin = time.monotonic()
        for first in range(0, len(prompts), batch):
            outputs += self._generate(prompts[first:first + batch], adapters[first:first + batch],
                                      max_tokens, one_active)
        seconds = time.monotonic() - begin
        return {"requests": len(outputs), "completion_tokens": sum(map(len, outputs)),
                "seconds": seconds, "outputs": outputs}

    def _generate(self, prompts, adapters, max_tokens, one_active):
        ids = torch.tensor(prompts)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids),
                 "max_new_tokens": max_tokens}
        with torch.inference_mode():
            if not any(adapters):
                made = self._plain.generate(**given)
            elif one_active and len(set(adapters)) == 1:
                self._tuned.set_adapter(adapters[0])
                made = self._tuned.generate(**given)
            else:
                made = self._tuned.generate(
                    **given, adapter_names=[name or "__base__" for name in adapters])
        return made[:, ids.shape[1]:].tolist()

    def _encode(self, texts):
        tokenizer = transformers.AutoTokenizer.from_pretrained(self._model_dir)
        return {"prompts": [tokenizer(text)["input_ids"] for text in texts]}

    def _oracle(self, prompts, adapters, max_tokens, best):
        plain = self._load(torch.float32)
        alone = [self._exact(plain, ids, max_tokens, best)
                 for ids, name in zip(prompts, adapters) if name is None]
        tuned = self._with_adapters(plain)
        answers = []
        for ids, name in zip(prompts, adapters):
            if name is None:
                answers.append(alone.pop(0))
            else:
                tuned.set_adapter(name)
                answers.append(self._exact(tuned, ids, max_tokens, best))
        return {"answers": answers}

    def _exact(self, model, ids, max_tokens, best):
        ids = torch.tensor([ids])
        with torch.inference_mode():
            made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids),
                                  max_new_tokens=max_tokens, output_logits=True,
                                  return_dict_in_generate=True)
        steps = []
        for logits in made.logits:
            values, places = logits[0].topk(best)
            steps.append(list(zip(places.tolist(), values.tolist())))
        return {"tokens": made.sequences[0, ids.shape[1]:].tolist(), "best": steps}


DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def main(model_dir, threads, dtype, *adapters):
    torch.set_num_threads(int(threads))
    transformers.utils.logging.set_verbosity_error()
    answers = os.fdopen(os.dup(1), "w")  # whatever else prints goes to the log
    os.dup2(2, 1)
    worker = Worker(model_dir, DTYPES[dtype], dict(adapter.split("=", 1) for adapter in adapters))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.serve(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
