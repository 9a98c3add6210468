"""From a tissue to latents: one network for each way to look at it, on the whole tissue or in tiles."""
