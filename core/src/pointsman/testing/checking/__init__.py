"""An installed distribution, and the contracts of what it offers, tried in a process of its own.

`run` starts that process and tells what becomes of each rule; `child` is what runs there. `watch` sees what a
plugin does when it is imported, asked and made, and `import_time` how long an import takes, in processes that
did nothing before.
"""
