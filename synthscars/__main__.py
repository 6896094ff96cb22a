"""`python -m synthscars` is the command `synthscars`."""

from synthscars.cli import main

if __name__ == "__main__":
    main(prog_name="synthscars")
