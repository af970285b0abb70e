"""Break the line that defines each method, one at a time, and check that a test fails.

    python tests/mutations.py              all mutations: about 10 minutes on 2 cores
    python tests/mutations.py EWC LoRA     some of them

Each mutation is made in a copy of the repository in a temporary folder. Prints a line for each; exit status 1 if one survives.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from paths import ROOT, file_of

# method: file, original text, mutated text, test file, and an expression that selects the tests one of which must fail
MUTATIONS = {
    "scratch": (
        "pac_surrogate/methods/tuned/scratch.py",
        "fresh = initial_weights(surrogate.network.module, case.generator())",
        "fresh = surrogate.weights",
        "test_methods",
        "scratch_starts",
    ),
    "fine-tune": (
        "pac_surrogate/methods/tuned/fine_tune.py",
        "else self.body_rate for",
        "else 1.0 for",
        "test_methods",
        "slow_body",
    ),
    "linear probe": (
        "pac_surrogate/methods/tuned/linear_probe.py",
        "trainable=inside(weights, surrogate.readout)",
        "trainable=True",
        "test_methods",
        "slow_body",
    ),
    "L2": (
        "pac_surrogate/methods/pulled/l2.py",
        "plan = make_plan(surrogate.weights, trainable",
        "plan = make_plan(surrogate.weights, anchor=surrogate.weights, trainable",
        "test_methods",
        "l2_pulls",
    ),
    "L2-SP": (
        "pac_surrogate/methods/pulled/l2_sp.py",
        "trainable=trainable, anchor=weights, strength=strength)",
        "trainable=trainable, strength=strength)",
        "test_methods",
        "masked_l2_sp",
    ),
    "linear correction": (
        "pac_surrogate/methods/around/linear_correction.py",
        "return 1 + solution[:, 0]",
        "return solution[:, 0]",
        "test_methods",
        "linear_correction",
    ),
    "PAC, prune": (
        "pac_surrogate/methods/pruned/pac.py",
        "weights if self.keep_redundant else masked(weights, essential)",
        "weights",
        "test_methods",
        "truth_1 or merely_pruned",
    ),
    "PAC, allocate": (
        "pac_surrogate/methods/pruned/pac.py",
        "make_plan(start, trainable=essential, anchor",
        "make_plan(start, trainable=True, anchor",
        "test_methods",
        "truth_1",
    ),
    "runner, seed": (
        "pac_surrogate/runner.py",
        "work.case.budget.batch_size, work.case.seed)",
        "work.case.budget.batch_size)",
        "test_runner",
        "test",
    ),
    "runner, measurements": (
        "pac_surrogate/runner.py",
        "return (problem.function, problem.settings, network, data)",
        "return (problem.function, problem.settings, network)",
        "test_runner",
        "measurements_that_differ",
    ),
    "runner, source": (
        "pac_surrogate/runner.py",
        "self._content(case.target), source, case.budget",
        "self._content(case.target), case.budget",
        "test_runner",
        "differ_in_one_thing",
    ),
    "runner, steps on the source": (
        "pac_surrogate/runner.py",
        "problem.steps if problem.data is work.case.source else 0",
        "problem.steps",
        "test_runner",
        "steps_on_the_source",
    ),
    "runner, steps of methods that were waited for": (
        "pac_surrogate/runner.py",
        "waiter.source_steps += outcome.source_steps",
        "waiter.source_steps += 0",
        "test_runner",
        "steps_on_the_source",
    ),
    "runner, steps of trials": (
        "pac_surrogate/runner.py",
        "work.method, work.source_steps = method, 0",
        "work.method = method",
        "test_runner",
        "steps_on_the_source",
    ),
    "own error": (
        "pac_surrogate/surrogates/own_error.py",
        "square = (surrogate.predictor.predict(x).double() - y).square()",
        "square = (surrogate.predictor.predict(x).double() - y).abs()",
        "test_own_error",
        "deviations_of_each_output",
    ),
    "own error, constant outputs": (
        "pac_surrogate/surrogates/own_error.py",
        "ours, means = square[:, varies].mean(1)",
        "ours, means = square.mean(1)",
        "test_own_error",
        "deviations_of_each_output",
    ),
    "own error, standard error": (
        "pac_surrogate/surrogates/own_error.py",
        "(ours - ratio * means).std() / (means.mean()",
        "ours.std() / (means.mean()",
        "test_own_error",
        "standard_error_of_the_explained",
    ),
    "own error, a changed network": (
        "pac_surrogate/surrogates/own_error.py",
        'if "transfer" in surrogate.provenance:',
        "if False:",
        "test_own_error",
        "split_of_the_source",
    ),
    "pretrain, samples held out": (
        "pac_surrogate/pretraining.py",
        "return data[np.flatnonzero(~held)], data",
        "return data, data",
        "test_own_error",
        "not_trained_on",
    ),
    "pretrain, repeats held out": (
        "pac_surrogate/pretraining.py",
        "group = groups_of(x)",
        "group = torch.arange(len(x))",
        "test_own_error",
        "held_out_together",
    ),
    "pretrain, margin of the warning": (
        "pac_surrogate/pretraining.py",
        'kept["explained"] + MARGIN',
        'kept["explained"] - MARGIN',
        "test_own_error",
        "no_evidence",
    ),
    "transfer, source as the bottleneck": (
        "pac_surrogate/pipeline.py",
        "if PART * (mean + deviation) < part",
        "if 0 < part",
        "test_own_error",
        "half_of_the_squared",
    ),
    "transfer, source overcome": (
        "pac_surrogate/pipeline.py",
        "< part < OVERCOME * mean",
        "< part",
        "test_own_error",
        "half_of_the_squared",
    ),
    "transfer, source not used": (
        "pac_surrogate/pipeline.py",
        "if not needs_target(outcome.method):",
        "if True:",
        "test_own_error",
        "nothing_is_said",
    ),
    "choice, source not used": (
        "pac_surrogate/predictors/choice.py",
        "if not one.name.endswith(WITHOUT_NETWORK)",
        "if one.name",
        "test_own_error",
        "weight_of_the_source_network",
    ),
    "curve, allocated source": (
        "pac_surrogate/curves/transfer_curve.py",
        "= known[allocated[place]]",
        "= error",
        "test_curve",
        "dense_and_of_the_allocated",
    ),
    "curve, dense source": (
        "pac_surrogate/curves/transfer_curve.py",
        "[one.surrogate for one in prepared], cells, outcomes",
        "[prepared[0].surrogate] * len(prepared), cells, outcomes",
        "test_curve",
        "dense_and_of_the_allocated",
    ),
    "control, steps": (
        "benchmarks/shared/controls.py",
        "source_steps=asked.steps + found.source_steps",
        "source_steps=found.source_steps",
        "test_controls",
        "steps",
    ),
    "control, source": (
        "benchmarks/shared/controls.py",
        "replace(case, surrogate=longer)",
        "case",
        "test_controls",
        "after_a_training",
    ),
    "grids, natural bounds": (
        "benchmarks/shared/grids.py",
        "if value not in NATURAL.get(name, ())}",
        "}",
        "test_grids",
        "test",
    ),
    "grids, middle choices": (
        "benchmarks/shared/grids.py",
        "[seeds[(len(seeds) - 1) // 2], seeds[len(seeds) // 2]]",
        "[seeds[len(seeds) // 2]]",
        "test_grids",
        "middle_choices",
    ),
    "runner, divergence": (
        "pac_surrogate/runner.py",
        "if answer.diverged is not None:",
        "if False:",
        "test_runner",
        "test",
    ),
    "PAC, calibrate": (
        "pac_surrogate/methods/pruned/pac.py",
        "trainable = dict(redundant(essential))",
        "trainable = dict(essential)",
        "test_methods",
        "truth_1",
    ),
    "PAC, free biases": (
        "pac_surrogate/methods/pruned/pac.py",
        'if self.biases != "frozen":',
        "if False:",
        "test_methods",
        "as_the_option_says",
    ),
    "PAC, source task": (
        "pac_surrogate/methods/pruned/pac.py",
        "allocated=case.surrogate)",
        "allocated=surrogate)",
        "test_methods",
        "the_source_task",
    ),
    "PAC, exempt readout": (
        "pac_surrogate/methods/pruned/exempt.py",
        "surrogate.readout if name in READOUT else name",
        "name",
        "test_methods",
        "nothing_to_prune",
    ),
    "biases, pulled": (
        "pac_surrogate/methods/biases.py",
        'biases == "pulled" and name not in new',
        'biases != "frozen" and name not in new',
        "test_methods",
        "as_the_option_says",
    ),
    "biases, new readout": (
        "pac_surrogate/methods/biases.py",
        'biases == "pulled" and name not in new',
        'biases == "pulled"',
        "test_methods",
        "new_readout_train_without",
    ),
    "biases, frozen": (
        "pac_surrogate/methods/biases.py",
        'biases != "frozen" or name in trained',
        "True",
        "test_methods",
        "as_the_option_says",
    ),
    "a saved source task, complete": (
        "pac_surrogate/surrogates/saved.py",
        'if sorted(own) != header["tensors"]:',
        "if False:",
        "test_surrogate",
        "spoilt",
    ),
    "a saved source task, mask": (
        "pac_surrogate/surrogates/saved.py",
        "if shapes(masks) != shapes(weights) or",
        "if False and",
        "test_surrogate",
        "does_not_fit_is_refused",
    ),
    "runner, source task": (
        "pac_surrogate/runner.py",
        "predictor=predictor, allocated=None)",
        "predictor=predictor)",
        "test_methods",
        "pruned_by_pac",
    ),
    "a saved source task": (
        "pac_surrogate/surrogates/saved.py",
        "torch.where(masks[name], weight, 0.0)",
        "weight",
        "test_methods",
        "takes_the_room",
    ),
    "PackNet": (
        "pac_surrogate/methods/pruned/pac.py",
        "strength=0.0, biases",
        "strength=0.02, biases",
        "test_methods",
        "truth_3",
    ),
    "LP-FT": (
        "pac_surrogate/methods/tuned/lp_ft.py",
        "make_plan(probed.weights)",
        "make_plan(weights)",
        "test_pulls",
        "lp_ft",
    ),
    "surgical": (
        "pac_surrogate/methods/tuned/surgical.py",
        '"last": surrogate.readout',
        '"last": next(iter(weights)).rpartition(".")[0]',
        "test_pulls",
        "surgical",
    ),
    "EWC": (
        "pac_surrogate/methods/pulled/ewc.py",
        "self.strength * (fisher[name] + self.epsilon)",
        "self.strength",
        "test_pulls",
        "ewc or pull_is",
    ),
    "DELTA": (
        "pac_surrogate/methods/pulled/delta.py",
        "torch.softmax((errors - errors.mean()) / deviation / TEMPERATURE, dim=0)",
        "torch.softmax((errors - errors.mean()) / TEMPERATURE, dim=0)",
        "test_functional_regularisers",
        "attention",
    ),
    "feature map": (
        "pac_surrogate/methods/pulled/resemblance.py",
        "total = total + 0.5 *",
        "total = total + 0.0 *",
        "test_functional_regularisers",
        "term_is_its_equation",
    ),
    "LwF": (
        "pac_surrogate/methods/pulled/lwf.py",
        "prediction=0.5 * self.strength",
        "prediction=self.strength",
        "test_functional_regularisers",
        "lwf",
    ),
    "BSS": (
        "pac_surrogate/methods/pulled/bss.py",
        "(place >= own - self.count)",
        "(place < self.count)",
        "test_functional_regularisers",
        "spectral",
    ),
    "LoRA": (
        "pac_surrogate/methods/tuned/lora.py",
        "weights[name] + self.factor * change",
        "weights[name] + change",
        "test_lora",
        "alpha or starts",
    ),
    "scale-shift": (
        "pac_surrogate/methods/tuned/scale_shift.py",
        "anchor=start, strength=strength, reparametrisation",
        "strength=strength, reparametrisation",
        "test_scale_shift",
        "ridge or endless",
    ),
    "delta net": (
        "pac_surrogate/models/composite.py",
        "return source + prediction if delta else prediction",
        "return prediction",
        "test_composite",
        "formula",
    ),
    "MFNN": (
        "pac_surrogate/methods/around/multi_fidelity_network.py",
        "readout[:, inputs:linear] = torch.eye(",
        "readout[:, inputs:linear] = 0 * torch.eye(",
        "test_composite",
        "mfnn or starts_as_the_source",
    ),
    "input augmentation": (
        "pac_surrogate/models/composite.py",
        "torch.cat([x, source], dim=-1)",
        "torch.cat([x, 0 * source], dim=-1)",
        "test_composite",
        "formula",
    ),
    "last-layer ridge": (
        "pac_surrogate/methods/tuned/last_layer_ridge.py",
        "pull = 0.5 * float(plan.strength[name]) * y.numel()",
        "pull = float(plan.strength[name]) * y.numel()",
        "test_last_layer_ridge",
        "scikit or slope",
    ),
    "ATL": (
        "pac_surrogate/methods/tuned/atl.py",
        "/ (left.square() @ remainder)[:, None]",
        "/ 1.0",
        "test_atl",
        "leave_one_out",
    ),
    "ATL, anchor": (
        "pac_surrogate/methods/tuned/atl.py",
        'y - prediction if self.anchor == "source" else y',
        "y",
        "test_atl",
        "anchor",
    ),
    "choice, anchor": (
        "pac_surrogate/selection/candidates.py",
        "ATL(anchor=anchor)",
        "ATL()",
        "test_choose",
        "linear_in_the_inputs",
    ),
    "ATL, last layer": (
        "pac_surrogate/methods/tuned/atl.py",
        "layer == len(features) - 1",
        "layer == 0",
        "test_atl",
        "scikit",
    ),
    "ATL, group lasso": (
        "pac_surrogate/methods/tuned/atl.py",
        "order = torch.argsort(relevance, descending=True",
        "order = torch.argsort(relevance, descending=False",
        "test_atl",
        "lasso",
    ),
    "GP": (
        "pac_surrogate/methods/around/process_fit.py",
        "scale = (len(rotation) / outputs) ** 0.5",
        "scale = 1.0",
        "test_gaussian_process",
        "evidence",
    ),
    "GP on the residual": (
        "pac_surrogate/methods/around/gaussian_process.py",
        "values = y - prediction if",
        "values = y if",
        "test_gaussian_process",
        "residual",
    ),
    "NARGP": (
        "pac_surrogate/methods/around/gaussian_process.py",
        "z = np.concatenate([x, prediction @ projection], axis=1)",
        "z = np.concatenate([x, 0 * prediction @ projection], axis=1)",
        "test_gaussian_process",
        "augmented",
    ),
    "co-kriging": (
        "pac_surrogate/methods/around/co_kriging.py",
        "trend[:, 0] += mean * np.array([1.0, 1.0 - rho])",
        "trend[:, 0] += mean",
        "test_co_kriging",
        "smts or forrester",
    ),
    "GMP": (
        "pac_surrogate/methods/pruned/sparse_training.py",
        "(1 - t / rounds) ** 3",
        "(1 - t / rounds) ** 2",
        "test_sparse_training",
        "ramp",
    ),
    "AC/DC": (
        "pac_surrogate/methods/pruned/ac_dc.py",
        "0.0 if phase % 2 else self.sparsity",
        "self.sparsity",
        "test_sparse_training",
        "ac_dc",
    ),
    "STR": (
        "pac_surrogate/methods/pruned/soft_threshold.py",
        "weight - weight.sign() * threshold",
        "weight",
        "test_sparse_training",
        "soft_threshold",
    ),
    "RigL": (
        "pac_surrogate/methods/pruned/rigl.py",
        "gradient.flatten().abs())",
        "weight.flatten().abs())",
        "test_rigl",
        "largest_gradients",
    ),
    "WoodFisher": (
        "pac_surrogate/pruning/wood_fisher.py",
        "weight.square() / (2 * inverse",
        "weight.square() / (inverse",
        "test_wood_fisher",
        "surgeon",
    ),
    "LTH-T": (
        "pac_surrogate/methods/pruned/ticket.py",
        "ticket = keep(trained, rewind, mask)",
        "ticket = keep(trained, trained.weights, mask)",
        "test_tickets",
        "rewind",
    ),
    "sparse transfer": (
        "pac_surrogate/methods/pruned/sparse_transfer.py",
        "trainable = readout\n",
        "trainable = essential\n",
        "test_sparse_training",
        "regime",
    ),
    "ticket, one shot": (
        "pac_surrogate/methods/pruned/ticket.py",
        "make_plan(source.weights, perturbation",
        "make_plan(source.weights, trainable=False, perturbation",
        "test_tickets",
        "omp",
    ),
    "ticket, robust": ("pac_surrogate/perturbation.py", ".clamp(-radius, radius)", "", "test_perturbation", "box"),
    "ticket, learned mask": (
        "pac_surrogate/methods/pruned/learned_mask.py",
        "return mask + (size - size.detach())",
        "return mask",
        "test_tickets",
        "straight_through",
    ),
    "pruning, readout": (
        "pac_surrogate/methods/pruned/exempt.py",
        "surrogate.readout if name in READOUT else name",
        "name",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "pruning, structured readout": (
        "pac_surrogate/methods/pruned/drawing.py",
        "(*exempt, *(READOUT if whole else ()))",
        "exempt",
        "test_tickets",
        "omp",
    ),
    "GMP, readout": (
        "pac_surrogate/methods/pruned/gmp.py",
        "exempt: tuple[str, ...] = READOUT",
        "exempt: tuple[str, ...] = ()",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "AC/DC, readout": (
        "pac_surrogate/methods/pruned/ac_dc.py",
        "exempt: tuple[str, ...] = READOUT",
        "exempt: tuple[str, ...] = ()",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "STR, readout": (
        "pac_surrogate/methods/pruned/soft_threshold.py",
        "exempt: tuple[str, ...] = READOUT",
        "exempt: tuple[str, ...] = ()",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "RigL, readout": (
        "pac_surrogate/methods/pruned/rigl.py",
        "exempt: tuple[str, ...] = READOUT",
        "exempt: tuple[str, ...] = ()",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "WoodFisher, readout": (
        "pac_surrogate/methods/pruned/wood_fisher.py",
        "exempt: tuple[str, ...] = READOUT",
        "exempt: tuple[str, ...] = ()",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "LTH-T, readout": (
        "pac_surrogate/methods/pruned/lth_t.py",
        "exempt: tuple[str, ...] = READOUT",
        "exempt: tuple[str, ...] = ()",
        "test_sparse_training",
        "pruned_only_if",
    ),
    "GMP, hold": (
        "pac_surrogate/methods/pruned/sparse_training.py",
        "(sparsity, part + hold)",
        "(sparsity, part)",
        "test_sparse_training",
        "held_for_the_rest",
    ),
    "STR, densities": (
        "pac_surrogate/methods/pruned/soft_threshold.py",
        "Fraction(left * count, sum(free.values()))",
        "Fraction(left, len(free))",
        "test_sparse_training",
        "learned_densities",
    ),
    "STR, ranking": (
        "pac_surrogate/methods/pruned/soft_threshold.py",
        "raw = {name: parameters[name].abs()",
        "raw = {name: weights[name].abs()",
        "test_sparse_training",
        "no_kept_weight",
    ),
    "STR, values": (
        "pac_surrogate/methods/pruned/soft_threshold.py",
        "thresholded(parameters[name], below)",
        "thresholded(parameters[name], least)",
        "test_sparse_training",
        "no_kept_weight",
    ),
    "STR, learned values": (
        "pac_surrogate/methods/pruned/soft_threshold.py",
        "torch.where(weights[name] != 0, weights[name], ",
        "(",
        "test_sparse_training",
        "no_kept_weight",
    ),
    "trained tensors": (
        "pac_surrogate/runner.py",
        "(trained, answer.tensors) if",
        "(trained, answer.weights) if",
        "test_sparse_training",
        "learned_densities_and",
    ),
    "trained tensors, on disk": (
        "pac_surrogate/solvers/cache.py",
        "torch.stack([result.tensors[name]",
        "torch.stack([result.weights[name.removeprefix('twice ')]",
        "test_training",
        "trained_tensors",
    ),
    "WoodFisher, rounds": (
        "pac_surrogate/methods/pruned/wood_fisher.py",
        "Measure(pruned, trained,",
        "Measure(pruned, case.surrogate,",
        "test_wood_fisher",
        "each_round",
    ),
    "WoodFisher, pruned weights": (
        "pac_surrogate/pruning/wood_fisher.py",
        "rows * alive[name].flatten()",
        "rows",
        "test_wood_fisher",
        "already_pruned",
    ),
    "ticket, full rounds": (
        "pac_surrogate/methods/pruned/ticket.py",
        "self.round_learning_rate)\n",
        "self.round_learning_rate, 1 / 8)\n",
        "test_tickets",
        "robust_ticket_differs",
    ),
    "ticket, kept zeros": (
        "pac_surrogate/methods/pruned/learned_mask.py",
        "kept[name] = TopImportance",
        "kept[name] = (weights[name] != 0) * TopImportance",
        "test_tickets",
        "weight_of_zero",
    ),
    "sparse transfer, frozen biases": (
        "pac_surrogate/methods/pruned/sparse_transfer.py",
        "trained_tensors(surrogate, biases).items()",
        "trained_tensors(surrogate, 'free').items()",
        "test_sparse_training",
        "biases_of_sparse",
    ),
    "sparse transfer, pulled biases": (
        "pac_surrogate/methods/pruned/sparse_transfer.py",
        "pulled_tensors(surrogate, biases)",
        "pulled_tensors(surrogate, 'free')",
        "test_sparse_training",
        "biases_of_sparse",
    ),
    "pruning, sparsity of the body": (
        "pac_surrogate/models/weights.py",
        " if not bool(own[name])}",
        "}",
        "test_pruning",
        "begins_with",
    ),
    "pruning, non-zeros": (
        "pac_surrogate/models/weights.py",
        "int(weight.count_nonzero()) for weight in weights.values()",
        "int(mask.sum()) for mask in essential.values()",
        "test_pruning",
        "begins_with",
    ),
    "granularity": (
        "pac_surrogate/pruning/groups.py",
        "return importance.mean(-1, keepdim=True)",
        "return importance.sum(-1, keepdim=True)",
        "test_groups",
        "l1_norm",
    ),
    "choice, settings": (
        "pac_surrogate/data/nested_cross_validation.py",
        "others = squares.sum(1, keepdim=True) - group_sum(squares.T, group).T",
        "squares.sum(1, keepdim=True) + 0 * squares",
        "test_choose",
        "by_the_others",
    ),
    "choice, evidence": (
        "pac_surrogate/selection/stacking.py",
        "-inputs / 4 * square.log()",
        "-inputs / 2 * square.log()",
        "test_choose",
        "minimise",
    ),
    "choice, weights": (
        "pac_surrogate/selection/stacking.py",
        "weigh(counted[:, fold != k], len(torch.unique(group[fold != k])))",
        "weigh(counted, inputs)",
        "test_choose",
        "weighed_without",
    ),
    "choice, lines": (
        "pac_surrogate/methods/around/linear_correction.py",
        "residual[own] = residual[own] - self.left_out[own]",
        "residual[own] = residual[own]",
        "test_choose",
        "lines_without",
    ),
    "choice, processes": (
        "pac_surrogate/methods/around/gaussian_process.py",
        "fit_process(z[rest], values[rest] - values[rest].mean(0), kernel)",
        "fit_process(z, values - values.mean(0), kernel)",
        "test_gaussian_process",
        "left_out_has",
    ),
    "choice, layers": (
        "pac_surrogate/methods/tuned/atl.py",
        "torch.cat(self._chosen([feature[rest] for feature in features], target[rest], inside))",
        "torch.cat(self._chosen(features, target, group))",
        "test_atl",
        "has_no_part",
    ),
    "choice, trained": (
        "pac_surrogate/methods/folds.py",
        "rest = [case.without(part) for part in held_out]",
        "rest = [case for part in held_out]",
        "test_choose",
        "not_seen",
    ),
    "closed form, scale": (
        "pac_surrogate/kernels/spectrum.py",
        "others = (count * scale - part) / max(1, count - count // samples)",
        "others = scale",
        "test_linearise",
        "leaving_one_out",
    ),
    "closed form, ratio": (
        "pac_surrogate/solvers/closed_form.py",
        "chosen = nested_choice(torch.stack(squares), spectrum.group)",
        "chosen = torch.stack(squares).sum(1).argmin().expand(len(squares[0]))",
        "test_linearise",
        "judges_no_sample",
    ),
    "closed form, blocks": (
        "pac_surrogate/kernels/spectrum.py",
        "left_out = (blocks @ coefficients[..., None])[..., 0]",
        "left_out = blocks.diagonal(dim1=1, dim2=2) * coefficients",
        "test_linearise",
        "leaving_one_out",
    ),
    "intervals, simultaneous": (
        "pac_surrogate/predictors/left_out.py",
        "return (square.sum(0) - group_sum(square, group)).clamp_min(0.0) / (len(square) - own)",
        "return square.mean(0).expand(square.shape)",
        "test_intervals",
        "simultaneous_bands",
    ),
    "repeats, nearness": (
        "pac_surrogate/data/repeats.py",
        "query_pairs(NEAR,",
        "query_pairs(0.0,",
        "test_repeats",
        "nearly_equal",
    ),
    "repeats, kernels": (
        "pac_surrogate/kernels/spectrum.py",
        "block = torch.linalg.inv((rows * inverse) @ rows.T)",
        "block = torch.linalg.inv(((rows * inverse) @ rows.T).diagonal().diag())",
        "test_repeats",
        "kernel_leaves",
    ),
    "repeats, scale": (
        "pac_surrogate/kernels/spectrum.py",
        "part = group_sum(part, self.group)",
        "part = part",
        "test_repeats",
        "kernel_leaves",
    ),
    "repeats, lines": (
        "pac_surrogate/methods/around/linear_correction.py",
        "left_out[members] = torch.linalg.solve(blocks, applied[members].T[..., None])[..., 0].T",
        "pass",
        "test_repeats",
        "lines_leave",
    ),
    "repeats, layers": (
        "pac_surrogate/methods/tuned/atl.py",
        "left_out[members] = torch.linalg.solve((left[members] * remainder) @ left[members].T, applied[members])",
        "pass",
        "test_atl",
        "n_fits",
    ),
    "repeats, processes": (
        "pac_surrogate/methods/around/gaussian_process.py",
        "left_out[own] = np.linalg.pinv(inverse[np.ix_(own, own)], hermitian=True) @ applied",
        "left_out[own] = applied / inverse.diagonal()[own, None]",
        "test_repeats",
        "process_leaves",
    ),
    "repeats, folds": (
        "pac_surrogate/methods/folds.py",
        "return [np.flatnonzero(np.isin(group.numpy(), part)) for",
        "return [np.flatnonzero(np.isin(np.arange(len(group)), part)) for",
        "test_repeats",
        "folds_keep",
    ),
    "repeats, order statistics": (
        "pac_surrogate/intervals/bands.py",
        "place = (sample_weight[order].cumsum(0) < rank - 1e-6)",
        "place = (torch.ones_like(sample_weight)[order].cumsum(0) < rank - 1e-6)",
        "test_repeats",
        "order_statistic",
    ),
    "repeats, weights": (
        "pac_surrogate/selection/stacking.py",
        "counted = residuals * sample_weights(group)[:, None].sqrt()",
        "counted = residuals",
        "test_repeats",
        "weighted_once_in_a_choice",
    ),
    "order of rows": (
        "pac_surrogate/data/rows.py",
        "return order[np.random.default_rng(0).permutation(samples)]",
        "return np.arange(samples)",
        "test_prepare",
        "no_method_depends and auto",
    ),
    "train rows": (
        "pac_surrogate/data/dataset.py",
        'return self.train if self._whole and (self._description.split != SPLITS.index("train")).any() else self',
        "return self",
        "test_prepare",
        "only_the_train_rows",
    ),
    "scales, set point": (
        "pac_surrogate/data/scaling.py",
        "moved = (away > SET_POINT * columns.deviation) & (away > floor)",
        "moved = (columns.deviation == 0) & (away > floor)",
        "test_scaling",
        "set_point",
    ),
    "scales, constants": (
        "pac_surrogate/data/scaling.py",
        "torch.where(deviation > 0, deviation, torch.inf)",
        "torch.where(deviation > 0, deviation, 1.0)",
        "test_scaling",
        "has_no_scale",
    ),
    "scales, readout": (
        "pac_surrogate/surrogates/outputs.py",
        "weights[name] = weights[name] * factor.to(weights[name])",
        "weights[name] = weights[name] * torch.ones_like(factor).to(weights[name])",
        "test_prepare",
        "is_constant_in_the_source",
    ),
    "names, outputs": (
        "pac_surrogate/surrogates/outputs.py",
        "weights[name][place] = network.weights[name][row]",
        "pass",
        "test_prepare",
        "keeps_their_rows",
    ),
    "names, layout": (
        "pac_surrogate/prepare.py",
        "return None if same else theirs",
        "return None",
        "test_prepare",
        "another_order_are_the_same",
    ),
    "extrapolation, logarithms": (
        "pac_surrogate/data/scaling.py",
        "low = torch.where(self.logarithmic, self.low / ratio, low)",
        "low = low",
        "test_scaling",
        "logarithmic_range",
    ),
    "precision": (
        "pac_surrogate/surrogates/surrogate.py",
        "return torch.promote_types(columns.dtype, trained)",
        "return columns.dtype",
        "test_surrogate",
        "has_the_precision",
    ),
    "choice, hopeless": (
        "pac_surrogate/selection/stacking.py",
        "square.median() / square.mean()",
        "square.mean() / square.mean()",
        "test_choose",
        "very_bad",
    ),
    "steps, limit": (
        "simulators/numerics/step_error.py",
        "lost, final = ~(errors <= error_limit()),",
        "lost, final = errors > error_limit(),",
        "test_step_error",
        "worst_sample",
    ),
    "steps, Runge-Kutta": (
        "simulators/numerics/runge_kutta.py",
        "distance.add_((fourth - slope).abs_(), alpha=step / 6)",
        "distance.add_((fourth - slope).abs_(), alpha=step / 60)",
        "test_runge_kutta",
        "estimate_of_a_decay",
    ),
    "steps, exponential": (
        "simulators/numerics/exponential_step.py",
        "return (last - following).mul_(self.f3)",
        "return (last - following).mul_(self.f2)",
        "test_fourier",
        "classical_runge_kutta",
    ),
    "steps, differences": (
        "simulators/heat/heat_equation.py",
        "CONSTANTS[scheme] * passed / length**power",
        "CONSTANTS[scheme]",
        "test_heat",
        "estimated_error",
    ),
    "steps, phases": (
        "simulators/waves/wave_equation.py",
        "swiftness -= (jerk * self(jerk)).flatten(1).sum(1)",
        "swiftness += 0 * (jerk * self(jerk)).flatten(1).sum(1)",
        "test_wave",
        "estimated_error",
    ),
    "next samples": (
        "pac_surrogate/selection/acquisition.py",
        "covariance = covariance.addr(column, column / -variance[best])",
        "covariance = covariance + 0 * column",
        "test_acquisition",
        "test",
    ),
    "calls, one of several": (
        "pac_surrogate/utilities/arguments.py",
        "isinstance(value, str) or not isinstance(value, Iterable)",
        "isinstance(value, str)",
        "test_calls",
        "unambiguous",
    ),
    "calls, names": (
        "pac_surrogate/methods/method_names.py",
        "for character in name.lower() if",
        "for character in name if",
        "test_calls",
        "unambiguous",
    ),
    "calls, components": (
        "pac_surrogate/files/variables.py",
        "named = variable.axes != default_axes(variable.name, len(variable.axes))\n        inside",
        "named = True\n        inside",
        "test_calls",
        "remedy",
    ),
    "display, escaped": (
        "pac_surrogate/utilities/display.py",
        "{html.escape(brief(value))}",
        "{brief(value)}",
        "test_display",
        "notebook",
    ),
}


def survives(name: str) -> bool:
    """Whether no test fails on the mutated code; that they pass on the original code is checked by the suite itself."""
    file, line, broken, test, expression = MUTATIONS[name]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        parts = ("pac_surrogate", "simulators", "tests", "benchmarks", "pyproject.toml", "README.md")
        copy.mkdir()
        for part in parts:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", "results", "pictures"))
            else:
                shutil.copy(ROOT / part, copy / part)
        path = copy / file
        content = path.read_text()
        if content.count(line) != 1:
            raise ValueError(f"{name}: {file} must hold the line once, it holds it {content.count(line)} times: {line}")
        path.write_text(content.replace(line, broken))
        tests = file_of(test).relative_to(ROOT)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", tests, "-k", expression]
        done = subprocess.run(command, cwd=copy, env=environment(copy), capture_output=True, text=True)
        if done.returncode not in (0, 1):  # no test was selected, or tests could not run
            raise ValueError(f"{name}: pytest ended with {done.returncode}: {done.stdout[-300:]}")
        return done.returncode == 0


def environment(copy: Path) -> dict[str, str]:
    """Return an environment in which the copy is imported instead of the installed package."""
    import os

    return {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}


def main() -> None:
    names = sys.argv[1:] or list(MUTATIONS)
    unknown = [name for name in names if name not in MUTATIONS]
    if unknown:
        print(f"error: no mutation named {', '.join(unknown)}: choose from {', '.join(MUTATIONS)}", file=sys.stderr)
        raise SystemExit(2)
    survivors = []
    for name in names:
        alive = survives(name)
        survivors += [name] * alive
        print(f"{name}: {'SURVIVES' if alive else 'noticed'}", flush=True)
    print(f"{len(names) - len(survivors)} of {len(names)} noticed")
    raise SystemExit(1 if survivors else 0)


if __name__ == "__main__":
    main()
