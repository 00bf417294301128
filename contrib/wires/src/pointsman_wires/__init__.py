"""The wires of OpenAI, Anthropic and Ollama from the side of the server, for pointsman."""
