# make docs: the documentation from a fresh environment of its own, warnings as errors, and then checked.
PYTHON ?= python3
SITE = docs/_build/html

.PHONY: docs
docs: .venv-docs/ready
	.venv-docs/bin/sphinx-build -q -E -W --keep-going -b html docs $(SITE)
	.venv-docs/bin/python docs/check_site.py $(SITE)
	.venv-docs/bin/python docs/visit_site.py $(SITE)
	@echo "open $(SITE)/index.html"

.venv-docs/ready: pyproject.toml
	rm -rf .venv-docs
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install -q -e '.[docs]'
	touch $@
