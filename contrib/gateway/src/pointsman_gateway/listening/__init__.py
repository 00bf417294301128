"""Listeners: addresses, with uvicorn behind them, whose protocols have limits of ours."""
