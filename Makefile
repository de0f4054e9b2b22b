# Two commands do all the set-up on a fresh Debian machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
.PHONY: help demo test check lint unit simulate real engines bench aws-contract audit setup clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: ## watch a push become a roll-out on a real Swarm (KEEP=1 leaves it running; TARGET=ecs for ECS)
	@lab/setup.sh demo
	@$(PYTHON) -m $(if $(filter ecs,$(TARGET)),lab.ecs.demo,lab.demo) $(if $(KEEP),--keep)

test: setup lint unit simulate real ## everything: lint, types, imports, unit tests, end-to-end tests on the real parts

check: setup lint unit ## the fast half, under a minute

bench: setup ## measure speed, memory and requests beside bare floors (NAMES="latency idle", QUICK=1)
	@$(PYTHON) -m bench $(if $(QUICK),--quick) $(NAMES)

setup:
	@lab/setup.sh test

lint:
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

unit:
	@$(PYTHON) -m pytest -n 2 -m "not real"

simulate: ## play days of pushes, operators and faults on a virtual clock (SEEDS=1000)
	@$(PYTHON) -m lab.simulate --seeds $(or $(SEEDS),60)

real:
	@# They wait more than they compute.
	@$(PYTHON) -m pytest -n 3 --dist worksteal -m real

engines: setup ## run the engine's tests on the engines of later Debian releases too (KINDS="trixie sid docker-29")
	@$(PYTHON) -m tools.engines $(KINDS)

aws-contract: setup ## try the hardest promises about ECS on an AWS account that you lend (it says what it needs)
	@$(PYTHON) -m tools.aws_contract

audit: setup ## ask osv.dev, or PyPI, what is known against the locked dependencies
	@$(PYTHON) -m tools.audit

clean: ## remove what the targets above have made here
	@rm -rf .venv .lab build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
