# make docs: the documentation from a fresh environment of its own, warnings as errors, and then checked.
PYTHON ?= python3
SITE = docs/_build/html

.PHONY: docs
docs: .venv-docs/ready
	@echo "1 of 3: build the site. Every example, check, figure and notebook runs: 2 to 5 minutes (105 s of a core) the first time,"
	@echo "        half of that where mvnp has not changed since, as figures and notebooks are kept in docs/_build."
	.venv-docs/bin/sphinx-build -q -E -W --keep-going -b html docs $(SITE)
	@echo "2 of 3: look for broken links, other hosts, missing words, doubled names, too little contrast: 20 to 40 seconds."
	.venv-docs/bin/python docs/check_site.py $(SITE)
	@echo "3 of 3: open every page in Chromium, at a desk, in the dark and on a phone: 1 to 4 minutes; passed over without Chromium."
	.venv-docs/bin/python docs/visit_site.py $(SITE)
	@echo "open $(SITE)/index.html"

.venv-docs/ready: pyproject.toml
	@echo "0 of 3: an environment for the documentation, .venv-docs: about 1 minute, from the package index."
	rm -rf .venv-docs
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install -q -e '.[docs]'
	touch $@
