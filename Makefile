# Everything a person types here. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Two tests at a time, a thread each: more threads make tiny models slower. ARGS="-n 0": one at a time.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup check format test test-all recipe-ner recipe-classification recipe-qa recipe-summarization recipe-pretraining recipe-distillation recipe-lora compare bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-zA-Z_-]+:.*## / {printf "  %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv and install the project in it (nothing to do when up to date)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,notebooks,export,serve,search]'
	@touch $@

check: $(INSTALLED) ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(INSTALLED) ## Run the tests: offline, a few minutes (ARGS are passed to pytest)
	$(PYTEST) $(ARGS)

test-all: $(INSTALLED) ## Run all tests: also every recipe, the notebooks, the wheel and real corpora
	$(PYTEST) -m "" $(ARGS)

recipe-ner: $(INSTALLED) ## Fine-tune, test and export a NER model (ARGS="--trainer.max_epochs 1")
	@$(BIN)/python -m recipes ner $(ARGS)

recipe-qa: $(INSTALLED) ## Fine-tune, test and export a model for questions (ARGS="--trainer.max_epochs 1")
	@$(BIN)/python -m recipes qa $(ARGS)

recipe-classification: $(INSTALLED) ## Fine-tune, test and export a classifier (ARGS="--trainer.max_epochs 1")
	@$(BIN)/python -m recipes classification $(ARGS)

recipe-summarization: $(INSTALLED) ## Fine-tune, test and export a summarizer (ARGS="--trainer.max_epochs 1")
	@$(BIN)/python -m recipes summarization $(ARGS)

recipe-pretraining: $(INSTALLED) ## Pretrain, test and export a masked language model (ARGS="--trainer.max_epochs 1")
	@$(BIN)/python -m recipes pretraining $(ARGS)

recipe-lora: $(INSTALLED) ## Train adapters of a NER model in place of its weights (ARGS="--trainer.max_epochs 1")
	@$(BIN)/python -m recipes ner/lora $(ARGS)

recipe-distillation: $(INSTALLED) ## Train a NER model, then one with half its layers that learns from it
	@test -d runs/ner/teacher/model || $(BIN)/python -m recipes ner --run_dir runs/ner/teacher
	@$(BIN)/python -m recipes distillation $(ARGS)

compare: $(INSTALLED) ## Compare the newest two runs (ARGS="RUN_DIR RUN_DIR")
	@$(BIN)/python -m recipes compare $(ARGS)

bench: $(INSTALLED) ## Measure speed on an idle machine, under an hour (ARGS="--quick": minutes)
	@$(BIN)/python -m benchmarks.speed all $(ARGS)

clean: ## Remove caches of the tools; runs/ and .venv stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
