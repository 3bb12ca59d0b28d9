"""The parts of the script. `a|` stands before a line of recipes that have `a`, `!a|` before one of the others, `a+b|`
where both are asked for; `$name` is a word of the recipe."""

from __future__ import annotations

SAFETENSORS = '''
CODES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """A safetensors file: the length of a JSON header, the header, the bytes of the tensors one after another."""
    header, end = {}, 0
    for name, tensor in weights.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in weights.values():
            file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    temporary.replace(path)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    types, found = {code: dtype for dtype, code in CODES.items()}, {}
    for name, one in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in one["data_offsets"])
            bytes_ = torch.frombuffer(data[start:end] or bytearray(1), dtype=torch.uint8)[: end - start]
            found[name] = bytes_.view(types[one["dtype"]]).reshape(one["shape"])
    return found
'''

SETUP = '''
class Run:
    """This process and the others of the run."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu")
        if self.size > 1:
            dist.init_process_group("nccl" if cuda else "gloo")

    def spread(self, model: nn.Module, sharded: bool) -> nn.Module:
        """The model in this process: whole (DDP), or a part of each weight (FSDP2)."""
        if sharded:
            if self.size == 1:
                raise SystemExit("--fsdp needs several processes: torchrun --nproc-per-node 2 ... --fsdp")
            for part in model.children():
                if next(part.parameters(), None) is not None and not isinstance(part, nn.ModuleList | nn.ModuleDict):
                    fully_shard(part)
            return fully_shard(model)
        return nn.parallel.DistributedDataParallel(model) if self.size > 1 else model

    def loader(self, data: Dataset, train: bool) -> DataLoader:
        """The batches of this process; each step, all processes together see BATCH examples."""
        if BATCH % self.size:
            raise SystemExit(f"a batch of {BATCH} cannot be divided among {self.size} processes")
        sampler = DistributedSampler(data, self.size, self.rank, shuffle=train, seed=SEED, drop_last=train)
        return DataLoader(data, BATCH // self.size, sampler=sampler, drop_last=train)

    def total(self, counts: torch.Tensor) -> list[float]:
        """Counts, summed over all processes."""
        if self.size > 1:
            dist.all_reduce(counts)
        return counts.tolist()


def bare(model: nn.Module) -> nn.Module:
    """The network itself, whose parameters go by the paths of the spec."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def first(output: Any) -> torch.Tensor:
    """The output that is trained: the first of several."""
    return output if isinstance(output, torch.Tensor) else output[0]
'''

CHECKPOINT = '''
WHOLE = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
SPREAD = states.StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


def save(folder: Path, run: Run, epoch: int, model: nn.Module, optimizer: torch.optim.Optimizer, more: dict) -> None:
    """The weights as safetensors, the rest as state.pt, which is written last and names its weights."""
    weights = states.get_model_state_dict(model, options=WHOLE)
    moments = states.get_optimizer_state_dict(model, optimizer, options=WHOLE)
    if run.rank:
        return
    name = f"epoch_{epoch:04}.safetensors"
    write_weights(weights, folder / name)
    torch.save({"epoch": epoch, "weights": name, "optimizer": moments, **more}, folder / "state.tmp")
    (folder / "state.tmp").replace(folder / "state.pt")
    for old in folder.glob("epoch_*.safetensors"):
        if old.name != name:
            old.unlink()


def restore(folder: Path, run: Run, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict | None:
    """Restore what `save` wrote last; None at the beginning."""
    if not (folder / "state.pt").exists():
        return None
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    options = SPREAD if run.size > 1 else states.StateDictOptions(full_state_dict=True)
    weights = read_weights(folder / state["weights"])
    states.set_model_state_dict(model, weights, options=options)
    states.set_optimizer_state_dict(model, optimizer, state["optimizer"], options=options)
    return state
'''

AVERAGE = '''
class Average:
    """A running average of the weights, sharded where they are."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.mean = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        self.count = 0

    def update(self, share: float) -> None:
        """Move the average towards the weights by this share."""
        for name, weight in self.model.named_parameters():
            self.mean[name].mul_(1 - share).add_(weight.detach(), alpha=share)
        self.count += 1

    def state(self) -> dict:
        whole = {name: getattr(mean, "full_tensor", lambda mean=mean: mean)() for name, mean in self.mean.items()}
        return {"mean": {name: mean.cpu() for name, mean in whole.items()}, "count": self.count}

    def load(self, state: dict) -> None:
        for name, mean in self.mean.items():
            whole = state["mean"][name].to(mean.device)
            sharded = hasattr(mean, "device_mesh")
            mean.copy_(distribute_tensor(whole, mean.device_mesh, mean.placements) if sharded else whole)
        self.count = state["count"]

    def apply(self, loader: DataLoader, device: torch.device) -> None:
        """Make the average the weights, and measure the statistics of batch norms again."""
        for name, weight in self.model.named_parameters():
            weight.data.copy_(self.mean[name])
        update_bn(((*inputs, target)[0] for *inputs, target in loader), self.model, device)
'''

FOLDER = '''
class Pictures(Dataset):
    """A folder with a folder of pictures per class."""

    def __init__(self, folder: Path) -> None:
        self.classes = sorted(one.name for one in folder.iterdir() if one.is_dir())
        self.files = [
            (path, label) for label, name in enumerate(self.classes) for path in sorted((folder / name).iterdir())
        ]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.files[index]
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert(MODE).resize(SIZE), dtype=np.float32) / 255
        image = torch.from_numpy(pixels).reshape(SIZE[1], SIZE[0], -1).permute(2, 0, 1)
        return (image - 0.5) / 0.5, label


def data() -> tuple[Dataset, Dataset]:
    """Pictures of FOLDER/train and FOLDER/valid, from -1 to 1."""
    return Pictures(Path(FOLDER) / "train"), Pictures(Path(FOLDER) / "valid")
'''

EPOCH = '''
def train(
    run: Run,
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
batches|    scheduler: Any,
scaled|    scaler: torch.amp.GradScaler,
ema|    average: Average,
) -> float:
    """One epoch; the mean loss."""
    model.train()
    counts = torch.zeros(2, device=run.device)
    for *inputs, target in loader:
        inputs, target = [one.to(run.device) for one in inputs], target.to(run.device)
!mixed|        loss = loss_of(first(model(*inputs)), target)
mixed|        with torch.autocast(run.device.type, torch.$precision):
mixed|            loss = loss_of(first(model(*inputs)), target)
        optimizer.zero_grad()
!scaled|        loss.backward()
scaled|        scaler.scale(loss).backward()
scaled+clip|        scaler.unscale_(optimizer)
clip|        nn.utils.clip_grad_norm_(model.parameters(), $clip)
!scaled|        optimizer.step()
scaled|        scaler.step(optimizer)
scaled|        scaler.update()
batches|        scheduler.step()
ema|        average.update(1 - $decay)
        counts += torch.stack([loss.detach() * len(target), torch.tensor(float(len(target)), device=run.device)])
    loss_sum, seen = run.total(counts)
    return loss_sum / seen


@torch.no_grad()
def validate(run: Run, model: nn.Module, loader: DataLoader) -> dict[str, float]:
counted|    """The mean loss and the accuracy; padding of the last batch does not count."""
!counted|    """The mean loss; padding of the last batch does not count."""
    model.eval()
    counts, left = torch.zeros(3, device=run.device), len(range(run.rank, len(loader.dataset), run.size))
    for *inputs, target in loader:
        output = first(model(*[one.to(run.device) for one in inputs]))
        real = min(left, len(target))
        left -= real
        if real:
            output, target = output[:real], target[:real].to(run.device)
counted|            right = (output.argmax(1) == target).float().sum()
!counted|            right = torch.zeros((), device=run.device)
            counts += torch.stack([loss_of(output, target) * real, torch.tensor(float(real), device=run.device), right])
    loss, seen, right = run.total(counts)
counted|    return {"valid": loss / seen, "accuracy": right / seen}
!counted|    return {"valid": loss / seen}
'''

MAIN = """
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), help="folder for weights and log")
    parser.add_argument("--weights", type=Path, help="safetensors to start from; tensors that do not fit stay fresh")
    parser.add_argument("--fsdp", action="store_true", help="divide weights, gradients and optimiser")
given|    parser.add_argument("--data", required=True, metavar="MODULE:FUNCTION", help="returns both data sets")
    options = parser.parse_args()
    run = Run()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    model = $class().to(run.device)
    if options.weights:
        own, given = model.state_dict(), read_weights(options.weights)
        fitting = {name: one for name, one in given.items() if name in own and own[name].shape == one.shape}
        model.load_state_dict(fitting, strict=False)
        print(f"{len(fitting)} of {len(own)} tensors from {options.weights}", flush=True)
    model = run.spread(model, options.fsdp)
    optimizer = optimizer_of(bare(model))
given|    module, _, function = options.data.partition(":")
given|    train_data, valid_data = getattr(importlib.import_module(module), function)()
!given|    train_data, valid_data = data()
    train_loader, valid_loader = run.loader(train_data, True), run.loader(valid_data, False)
schedule|    scheduler = scheduler_of(optimizer, len(train_loader))
scaled|    scaler = torch.amp.GradScaler(run.device.type, enabled=run.device.type == "cuda")
average|    average = Average(bare(model))
    state, log = restore(options.out, run, model, optimizer), options.out / "log.jsonl"
    start = 0 if state is None else state["epoch"]
    if state is not None:
schedule|        scheduler.load_state_dict(state["scheduler"])
scaled|        scaler.load_state_dict(state["scaler"])
average|        average.load(state["average"])
        print(f"resuming after epoch {start}", flush=True)
    if run.rank == 0:
        lines = log.read_text().splitlines()[:start] if log.exists() else []
        log.write_text("".join(f"{line}\\n" for line in lines))
    for epoch in range(start + 1, EPOCHS + 1):
        torch.manual_seed(SEED + 1000 * epoch + run.rank)
        train_loader.sampler.set_epoch(epoch)
        loss = train(
            run,
            model,
            train_loader,
            optimizer,
batches|            scheduler,
scaled|            scaler,
ema|            average,
        )
        lr = optimizer.param_groups[0]["lr"]
        measured = {"epoch": epoch, "loss": loss, **validate(run, model, valid_loader), "lr": lr}
schedule+!batches+!plateau|        scheduler.step()
schedule+plateau|        scheduler.step(measured["valid"])
swa|        if epoch >= $start:
swa|            average.update(1 / (average.count + 1))
swa_lr|            for group in optimizer.param_groups:
swa_lr|                group["lr"] = $lr
        if run.rank == 0:
            print(json.dumps(measured), flush=True)
            with log.open("a") as file:
                file.write(json.dumps(measured) + "\\n")
        more = {
schedule|            "scheduler": scheduler.state_dict(),
scaled|            "scaler": scaler.state_dict(),
average|            "average": average.state(),
        }
        save(options.out, run, epoch, model, optimizer, more)
average|    average.apply(train_loader, run.device)
average|    averaged = validate(run, model, valid_loader)
average|    if run.rank == 0:
average|        print(json.dumps({"average": averaged}), flush=True)
    weights = states.get_model_state_dict(model, options=WHOLE)
    if run.rank == 0:
        write_weights(weights, options.out / "model.safetensors")


if __name__ == "__main__":
    main()
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
        os._exit(0)  # torch 2.13 sometimes aborts an FSDP2 process on exit, after all is written
"""
