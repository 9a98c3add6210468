"""From latents to one partition: many cuts, what each is worth without labels, and what the best agree on."""
