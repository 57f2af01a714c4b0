"""One training step by transformers and PEFT: LoRA of rank 8 on queries and values of a BERT of MiniLM-L6's shape.

Random weights, mean pooling, a linear classifier, an attention mask as a tokenizer gives it. `--mode forward` times the
frozen forward alone.
"""

import peer  # before peft: it sees to it that torchvision can be imported
import peft
import torch
import transformers


def main():
    options = peer.arguments(__doc__, numbers={"length": 128}, mode=["lora", "forward"])
    config = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )
    bert = transformers.BertModel(config, add_pooling_layer=False).requires_grad_(False)
    ids = torch.randint(1, config.vocab_size, (options.batch, options.length))
    mask = torch.ones_like(ids)
    labels = torch.randint(peer.CLASSES, (options.batch,))

    def features(model):
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)

    if options.mode == "forward":
        bert.eval()
        step = torch.no_grad()(lambda: features(bert))
    else:
        model = peft.get_peft_model(
            bert, peft.LoraConfig(r=8, lora_alpha=8, lora_dropout=0.0, target_modules=["query", "value"])
        ).train()
        adapted = sum(isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer) for module in model.modules())
        assert adapted == 12, f"{adapted} adapted modules, not 12"
        head = torch.nn.Linear(config.hidden_size, peer.CLASSES)
        trainable = [p for p in (*model.parameters(), *head.parameters()) if p.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=5e-5)

        def step():
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(head(features(model)), labels).backward()
            optimizer.step()

        step.trainable = sum(parameter.numel() for parameter in trainable)
    peer.run(f"text-{options.mode}", step, options)


if __name__ == "__main__":
    main()
