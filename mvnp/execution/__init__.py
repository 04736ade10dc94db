"""How a pass is run: shares of a batch on several cores, gradient checkpointing, half precision, scratch memory."""
