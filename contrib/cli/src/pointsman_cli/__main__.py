"""`python -m pointsman_cli` is `pointsman`."""

from pointsman_cli import main

if __name__ == "__main__":
    main()
