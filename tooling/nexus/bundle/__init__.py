"""Bundles: model.py says what one is, encode.py and decode.py are its bytes, sign.py its signature. Layout: recipes/contract/bundle.toml."""
