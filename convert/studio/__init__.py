"""Edge Impulse's Studio: its API (`client`), exports out of it (`pull`), and a deployment target in it (`block`)."""
