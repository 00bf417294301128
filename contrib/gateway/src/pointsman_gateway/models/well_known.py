"""Well-known models: what each can do, where neither the configuration nor its upstream says so."""

from __future__ import annotations

import re
from functools import cache

from pointsman.plugin import Capabilities

# A line: how the names begin, what they can do, the context in tokens, the family. Of several beginnings the
# longest counts. c completion, t tools, v vision, r thinking, e embedding, i insert. As their makers say;
# where a family has several lengths, the one of its common sizes.
_TABLE = """
    gpt-6                    ctvr   1050000  gpt
    gpt-5                    ctvr   400000   gpt
    gpt-5.4                  ctvr   1050000  gpt
    gpt-5.4-mini             ctvr   400000   gpt
    gpt-5.4-nano             ctvr   400000   gpt
    gpt-5.5                  ctvr   1000000  gpt
    gpt-5.6                  ctvr   1050000  gpt
    gpt-4.1                  ctv    1047576  gpt
    gpt-4o                   ctv    128000   gpt
    gpt-4-turbo              ctv    128000   gpt
    gpt-4-32k                ct     32768    gpt
    gpt-4                    ct     8192     gpt
    gpt-3.5-turbo-instruct   c      4096     gpt
    gpt-3.5-turbo            ct     16385    gpt
    chatgpt-4o               cv     128000   gpt
    o1                       ctvr   200000   o
    o1-mini                  cr     128000   o
    o1-preview               cr     128000   o
    o3                       ctvr   200000   o
    o3-mini                  ctr    200000   o
    o4-mini                  ctvr   200000   o
    codex-mini               ctvr   200000   o
    gpt-oss                  ctr    131072   gptoss
    davinci-002              c      16384    gpt
    babbage-002              c      16384    gpt
    text-embedding-          e      8191     text-embedding
    claude-                  ctvr   200000   claude
    claude-fable-            ctvr   1000000  claude
    claude-opus-4-6          ctvr   1000000  claude
    claude-opus-4-7          ctvr   1000000  claude
    claude-opus-4-8          ctvr   1000000  claude
    claude-opus-5            ctvr   1000000  claude
    claude-sonnet-4-6        ctvr   1000000  claude
    claude-sonnet-5          ctvr   1000000  claude
    claude-haiku-5-5         ctvr   1000000  claude
    claude-3-haiku           ctv    200000   claude
    claude-3-opus            ctv    200000   claude
    claude-3-sonnet          ctv    200000   claude
    claude-3-5               ctv    200000   claude
    claude-2                 c      100000   claude
    claude-2.1               c      200000   claude
    claude-instant           c      100000   claude
    gemini-                  ctv    1048576  gemini
    gemini-1.5-pro           ctv    2097152  gemini
    gemini-2.5               ctvr   1048576  gemini
    gemini-3                 ctvr   1048576  gemini
    gemini-embedding         e      2048     gemini
    grok-3                   ct     131072   grok
    grok-3-mini              ctr    131072   grok
    grok-4                   ctvr   256000   grok
    grok-code                ctr    256000   grok
    llama2                   c      4096     llama
    llama-2                  c      4096     llama
    llama3                   c      8192     llama
    llama-3                  c      8192     llama
    llama3.1                 ct     131072   llama
    llama-3.1                ct     131072   llama
    llama3.2                 ct     131072   llama
    llama-3.2                ct     131072   llama
    llama3.2-vision          cv     131072   mllama
    llama-3.2-11b-vision     cv     131072   mllama
    llama-3.2-90b-vision     cv     131072   mllama
    llama3.3                 ct     131072   llama
    llama-3.3                ct     131072   llama
    llama4                   ctv    1048576  llama4
    llama-4                  ctv    1048576  llama4
    codellama                ci     16384    llama
    tinyllama                c      2048     llama
    qwen2                    c      32768    qwen2
    qwen2.5                  ct     32768    qwen2
    qwen2.5-coder            cti    32768    qwen2
    qwen2.5vl                cv     128000   qwen25vl
    qwen2.5-vl               cv     128000   qwen25vl
    qwen3                    ctr    40960    qwen3
    qwen3-coder              ct     262144   qwen3
    qwen3-vl                 ctvr   262144   qwen3vl
    qwen3-embedding          e      32768    qwen3
    qwq                      ctr    40960    qwen2
    mistral                  ct     32768    mistral
    mistral-nemo             ct     131072   mistral
    mistral-small            ct     32768    mistral
    mistral-small3.1         ctv    131072   mistral3
    mistral-small3.2         ctv    131072   mistral3
    mistral-medium           ctv    131072   mistral
    mistral-large            ct     131072   mistral
    mistral-embed            e      8192     mistral
    ministral                ct     131072   mistral
    mixtral                  ct     32768    mistral
    codestral                ci     32768    mistral
    devstral                 ct     131072   mistral
    magistral                ctr    40960    mistral
    pixtral                  ctv    131072   mistral
    gemma                    c      8192     gemma
    gemma2                   c      8192     gemma2
    gemma-2                  c      8192     gemma2
    gemma3                   cv     131072   gemma3
    gemma-3                  cv     131072   gemma3
    gemma3n                  c      32768    gemma3n
    gemma-3n                 c      32768    gemma3n
    embeddinggemma           e      2048     gemma3
    phi3                     c      131072   phi3
    phi-3                    c      131072   phi3
    phi4                     c      16384    phi3
    phi-4                    c      16384    phi3
    phi4-mini                ct     131072   phi3
    phi4-reasoning           cr     32768    phi3
    deepseek-chat            ct     131072   deepseek
    deepseek-reasoner        ctr    131072   deepseek
    deepseek-r1              cr     131072   deepseek2
    deepseek-v3              ct     131072   deepseek2
    deepseek-coder           ci     16384    llama
    deepseek-coder-v2        ci     163840   deepseek2
    command-r                ct     131072   command-r
    command-a                ct     262144   command-r
    granite3                 ct     131072   granite
    granite4                 ct     131072   granite
    granite-embedding        e      512      bert
    kimi-k2                  ct     262144   kimi
    glm-4.5                  ctr    131072   glm
    glm-4.6                  ctr    202752   glm
    smollm2                  ct     8192     llama
    starcoder2               ci     16384    starcoder2
    llava                    cv     4096     llama
    moondream                cv     2048     phi2
    minicpm-v                cv     32768    qwen2
    nomic-embed-text         e      2048     nomic-bert
    mxbai-embed-large        e      512      bert
    all-minilm               e      512      bert
    bge-                     e      512      bert
    bge-m3                   e      8192     bert
    snowflake-arctic-embed   e      512      bert
    snowflake-arctic-embed2  e      8192     bert
    voyage-                  e      32000    voyage
"""
_LETTERS = {
    "c": "completion",
    "t": "tools",
    "v": "vision",
    "r": "thinking",
    "e": "embedding",
    "i": "insert",
}


def known_model(name: str) -> Capabilities | None:
    """What the model can do that an upstream calls `name`; None for one that is not well known.

    The parts before a slash, which say whose it is, and after a colon, its size, make no difference.
    """
    short = name.rpartition("/")[2].partition(":")[0].lower()
    return next((found for beginning, found in _by_beginning() if _begins(short, beginning)), None)


def _begins(name: str, beginning: str) -> bool:
    """Whether `name` is a model of that kin: `o1-pro` of `o1`, `o10` not; `llama3.2-vision` of `llama3.2`."""
    if not name.startswith(beginning):
        return False
    rest = name[len(beginning) :]
    return not rest or beginning.endswith("-") or re.match(r"[-_@]|\.\d", rest) is not None


@cache
def _by_beginning() -> list[tuple[str, Capabilities]]:
    """The table, the longest beginnings first."""
    lines = [line.split() for line in _TABLE.splitlines() if line]
    found = [
        (beginning, Capabilities([_LETTERS[each] for each in can], int(length), family))
        for beginning, can, length, family in lines
    ]
    return sorted(found, key=lambda each: -len(each[0]))
