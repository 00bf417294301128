"""Configurations of several files."""

from __future__ import annotations

import json

from proving import Setting, proves

from pointsman import Config


@proves("include")
def what_it_names_is_part_of_it(setting: Setting) -> None:
    main = setting.folder / "main.json"
    (setting.folder / "other.yaml").write_text("providers: {b: {type: ollama, models: [n]}}\n")
    said = {"providers": {"a": {"type": "ollama", "models": ["m"]}}}
    for value, models in (([], {"m"}), (["other.yaml"], {"m", "n"}), (["oth*.yaml"], {"m", "n"})):
        main.write_text(json.dumps(setting.to(value, said)))
        assert set(Config.load(main).public_models()) == models
