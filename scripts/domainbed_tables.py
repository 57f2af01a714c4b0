#!/usr/bin/env python3
"""Prints DomainBed's own tables from a folder of Graft's runs.

    scripts/domainbed_tables.py --domainbed CHECKOUT --runs FOLDER --dataset NAME --domains art cartoon photo sketch

CHECKOUT is a clone of https://github.com/facebookresearch/DomainBed. Its collect_results knows only the data sets that
it trains on and imports PyTorch to find out about them; this script puts the given data set in their place, and then
lets DomainBed's code read results.jsonl, select models and print, as it would for its own runs. Needs numpy and tqdm.
"""

import argparse
import importlib
import sys
import types


def main():
    parser = argparse.ArgumentParser(description="DomainBed's tables of Graft's runs")
    parser.add_argument("--domainbed", required=True, help="a clone of DomainBed")
    parser.add_argument("--runs", required=True, help="the folder with one folder per run")
    parser.add_argument("--dataset", required=True, help='the "dataset" in the records')
    parser.add_argument("--domains", required=True, nargs="+", help="its domains, sorted by name")
    arguments = parser.parse_args()

    sys.path.insert(0, arguments.domainbed)
    put_in_place_of_pytorch(arguments.dataset, arguments.domains)
    collect_results = importlib.import_module("domainbed.scripts.collect_results")
    reporting = importlib.import_module("domainbed.lib.reporting")
    model_selection = importlib.import_module("domainbed.model_selection")

    records = reporting.load_records(arguments.runs)
    print("Total records:", len(records))
    for method in (
        model_selection.IIDAccuracySelectionMethod,
        model_selection.LeaveOneOutSelectionMethod,
        model_selection.OracleSelectionMethod,
    ):
        collect_results.print_results_tables(records, method, False)


def put_in_place_of_pytorch(dataset, domains):
    package = importlib.import_module("domainbed")
    library = importlib.import_module("domainbed.lib")

    datasets = types.ModuleType("domainbed.datasets")
    datasets.DATASETS = [dataset]
    datasets.num_environments = lambda name: len(domains)
    datasets.get_dataset_class = lambda name: types.SimpleNamespace(ENVIRONMENTS=domains)

    algorithms = types.ModuleType("domainbed.algorithms")
    algorithms.ALGORITHMS = []

    misc = types.ModuleType("domainbed.lib.misc")
    misc.print_row = lambda row, colwidth=10, latex=False: print("  ".join(str(cell).ljust(colwidth) for cell in row))

    for parent, name, module in (
        (package, "datasets", datasets),
        (package, "algorithms", algorithms),
        (library, "misc", misc),
    ):
        sys.modules[module.__name__] = module
        setattr(parent, name, module)


if __name__ == "__main__":
    main()
