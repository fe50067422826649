#include "engine/adapters/stored_catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/adapters/store_names.h"
#include "engine/adapters/stored_upload.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

constexpr absl::Duration kLongestWait = absl::Minutes(1);

// What adapters were checked for: the shapes of the model's linears.
std::string FormatTag(const ModelConfig& model) {
  std::string tag = absl::StrCat("layers ", model.layers);
  for (int m = 0; m < kernels::kNumLoraModules; ++m) {
    const ModelConfig::LinearShape shape = model.linear(static_cast<kernels::LoraModule>(m));
    absl::StrAppend(&tag, "; ", kLinearNames[m], " ", shape.inputs, "x", shape.outputs);
  }
  return tag;
}

absl::Status NotThere(const std::string& model) {
  return MakeRefusal(absl::StatusCode::kNotFound,
                     {Reason::kAdapterNotFound, absl::StrCat("adapter ", Quoted(model)),
                      "the name of an adapter that the tenant can see", ""});
}

absl::Status OtherVersion(const std::string& name, int64_t expected, int64_t got) {
  return MakeRefusal(absl::StatusCode::kAborted,
                     {Reason::kVersionMismatch, absl::StrCat("adapter ", Quoted(name)),
                      absl::StrCat("version ", expected),
                      got == 0 ? "no such adapter" : absl::StrCat("version ", got)});
}

std::vector<std::string> ModuleNames(const Manifest& manifest) {
  std::set<kernels::LoraModule> modules;
  for (const ModuleRun& run : manifest.modules) modules.insert(run.module);
  std::vector<std::string> names;
  for (const kernels::LoraModule module : modules) {
    const std::string_view name = kLinearNames[module];
    names.emplace_back(name.substr(name.find('.') + 1));
  }
  return names;
}

uint64_t BytesOf(const Manifest& manifest) {
  return manifest.config.bytes + manifest.tensors.bytes;
}

// An earlier process began earlier and made less than one event in a microsecond.
uint64_t FirstRevision(const Clock* clock) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMicros(clock->Now()), 1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoredCatalog>> StoredCatalog::Open(CatalogOptions options,
                                                                   const Clock* clock) {
  if (options.files == nullptr) {
    CHORUS_ASSIGN_OR_RETURN(options.files, OpenFileSystem(options.directory));
  }
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<DirectoryStore> store,
                          DirectoryStore::Open({FormatTag(options.model), options.allow_volatile,
                                                options.reserved_bytes},
                                               std::move(options.files), clock));
  std::vector<RecoveredVersion> recovered = store->TakeRecovered();
  std::set<AdapterDigest> live;
  for (const RecoveredVersion& version : recovered) live.insert(version.manifest.digest);
  CHORUS_ASSIGN_OR_RETURN(
      std::unique_ptr<ImageCache> images,
      ImageCache::Open(store.get(),
                       {options.model, options.shard, options.geometry, options.pad_rank}, live));
  auto versions = std::make_shared<VersionStore>(std::move(store), std::move(images));
  std::unique_ptr<StoredCatalog> catalog(
      new StoredCatalog(std::move(options), std::move(versions), clock));
  CHORUS_RETURN_IF_ERROR(catalog->AddRecovered(std::move(recovered)));
  if (catalog->options_.background) {
    catalog->background_ = std::thread([raw = catalog.get()] { raw->BackgroundLoop(); });
  }
  return catalog;
}

StoredCatalog::StoredCatalog(CatalogOptions options, std::shared_ptr<VersionStore> versions,
                             const Clock* clock)
    : options_(std::move(options)),
      clock_(clock),
      versions_(std::move(versions)),
      scrubber_(&versions_->store(), options_.scrub_bytes_per_second, clock),
      history_(FirstRevision(clock), options_.limits.max_history, options_.limits.max_watch_queue) {
}

StoredCatalog::~StoredCatalog() {
  stopping_ = true;
  versions_->Interrupt();
  if (background_.joinable()) background_.join();
}

absl::Status StoredCatalog::AddRecovered(std::vector<RecoveredVersion> recovered) {
  MutexLock lock(&mutex_);
  for (RecoveredVersion& one : recovered) {
    CHORUS_ASSIGN_OR_RETURN(const AdapterSpec spec, SpecOf(one.manifest, options_.model.layers));
    std::shared_ptr<const StoredVersion> version = MakeVersion(one.manifest, spec);
    if (one.damaged) version->SetDamaged();
    const std::string tenant = one.manifest.tenant;
    const std::string name = one.manifest.name;
    Exchange(tenant, name, Entry{std::move(one.manifest), std::move(version)});
  }
  return absl::OkStatus();
}

std::shared_ptr<const StoredVersion> StoredCatalog::MakeVersion(const Manifest& manifest,
                                                                const AdapterSpec& spec) const {
  ImageLayout layout = ImageLayout::Make(spec, versions_->images().target());
  AdapterInfo info;
  info.tenant = manifest.tenant;
  info.name = manifest.name;
  info.version = manifest.version;
  info.digest = manifest.digest;
  info.config_bytes = static_cast<int64_t>(manifest.config.bytes);
  info.tensor_bytes = static_cast<int64_t>(manifest.tensors.bytes);
  info.max_rank = spec.max_rank();
  info.pages = layout.num_ids;
  info.modules = ModuleNames(manifest);
  info.invocation = manifest.invocation;
  info.base_model_name_or_path = manifest.base_model_name_or_path;
  info.warnings = manifest.warnings;
  info.created = manifest.created;
  info.pinned = manifest.pinned;
  DirectoryStore& store = versions_->store();
  return std::make_shared<const StoredVersion>(
      versions_, std::move(info), std::move(layout), store.Ref(manifest.config),
      store.Ref(manifest.tensors), versions_->images().Use(manifest.digest));
}

const StoredCatalog::Entry* StoredCatalog::FindEntry(const std::string& tenant,
                                                     const std::string& name) const {
  const auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return nullptr;
  const auto entry = owner->second.names.find(name);
  return entry == owner->second.names.end() ? nullptr : &entry->second;
}

// Of one tenant's own adapters.
std::shared_ptr<const StoredVersion> StoredCatalog::FindVersion(const std::string& tenant,
                                                                const std::string& model) const {
  const auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return nullptr;
  if (model.find(':') != std::string::npos) {
    const absl::StatusOr<AdapterDigest> digest = AdapterDigest::Parse(model);
    if (!digest.ok()) return nullptr;
    const auto names = owner->second.by_digest.find(*digest);
    if (names == owner->second.by_digest.end()) return nullptr;
    return FindEntry(tenant, *names->second.begin())->version;
  }
  const size_t at = model.find('@');
  const Entry* const entry = FindEntry(tenant, model.substr(0, at));
  if (at == std::string::npos) return entry == nullptr ? nullptr : entry->version;
  int64_t number = 0;
  if (!absl::SimpleAtoi(model.substr(at + 1), &number)) return nullptr;
  if (entry != nullptr && entry->manifest.version == number) return entry->version;
  const auto replaced = owner->second.replaced.find({model.substr(0, at), number});
  return replaced == owner->second.replaced.end() ? nullptr : replaced->second.lock();
}

AdapterInfo StoredCatalog::InfoOf(const StoredVersion& version) const {
  AdapterInfo info = version.info();
  info.state = version.damaged() ? AdapterState::kDamaged : AdapterState::kReady;
  return info;
}

AdapterInfo StoredCatalog::InfoOf(const Entry& entry) const {
  AdapterInfo info = InfoOf(*entry.version);
  info.pinned = entry.manifest.pinned;
  return info;
}

absl::StatusOr<AdapterRef> StoredCatalog::Resolve(const std::string& tenant,
                                                  const std::string& model) const {
  MutexLock lock(&mutex_);
  std::shared_ptr<const StoredVersion> version = FindVersion(tenant, model);
  if (version == nullptr) version = FindVersion(std::string(kSharedTenant), model);
  if (version == nullptr) return NotThere(model);
  if (version->damaged()) {
    return MakeRefusal(
        absl::StatusCode::kDataLoss,
        {Reason::kAdapterDamaged, absl::StrCat("adapter ", Quoted(model)),
         "its stored files as they were uploaded", "other bytes; uploading it again heals it"});
  }
  return AdapterRef(std::move(version));
}

absl::StatusOr<AdapterInfo> StoredCatalog::Get(const std::string& tenant,
                                               const std::string& model) const {
  MutexLock lock(&mutex_);
  for (const std::string& owner : {tenant, std::string(kSharedTenant)}) {
    const std::shared_ptr<const StoredVersion> version = FindVersion(owner, model);
    if (version == nullptr) continue;
    const Entry* const entry = FindEntry(owner, version->name());
    return entry != nullptr && entry->version == version ? InfoOf(*entry) : InfoOf(*version);
  }
  return NotThere(model);
}

std::vector<AdapterInfo> StoredCatalog::List(const std::string& tenant) const {
  MutexLock lock(&mutex_);
  std::vector<AdapterInfo> infos;
  for (const std::string& owner : std::set<std::string>{tenant, std::string(kSharedTenant)}) {
    const auto found = tenants_.find(owner);
    if (found == tenants_.end()) continue;
    for (const auto& [name, entry] : found->second.names) infos.push_back(InfoOf(entry));
  }
  return infos;
}

std::vector<AdapterInfo> StoredCatalog::ListAfter(const std::string& tenant,
                                                  const std::string& after, int limit) const {
  MutexLock lock(&mutex_);
  std::vector<const Entry*> entries;
  for (const std::string& owner : std::set<std::string>{tenant, std::string(kSharedTenant)}) {
    const auto found = tenants_.find(owner);
    if (found == tenants_.end()) continue;
    const auto& names = found->second.names;
    auto next = after.empty() ? names.begin() : names.upper_bound(after);
    for (int i = 0; i < limit && next != names.end(); ++i, ++next) {
      entries.push_back(&next->second);
    }
  }
  std::ranges::stable_sort(
      entries, {}, [](const Entry* entry) -> const std::string& { return entry->manifest.name; });
  std::vector<AdapterInfo> infos;
  for (const Entry* entry : entries) {
    if (static_cast<int>(infos.size()) == limit) break;
    infos.push_back(InfoOf(*entry));
  }
  return infos;
}

absl::StatusOr<AdapterInfo> StoredCatalog::Delete(const std::string& tenant,
                                                  const std::string& name,
                                                  std::optional<int64_t> if_version) {
  MutexLock commit(&commit_mutex_);
  AdapterInfo info;
  {
    MutexLock lock(&mutex_);
    CHORUS_ASSIGN_OR_RETURN(const Entry* const entry, FindOwn(tenant, name));
    info = InfoOf(*entry);
  }
  if (if_version.has_value() && *if_version != info.version) {
    return OtherVersion(name, *if_version, info.version);
  }
  CHORUS_RETURN_IF_ERROR(versions_->store().RemoveManifest(tenant, name));
  info.state = AdapterState::kDeleting;
  info.pinned = false;
  std::optional<Entry> removed;  // dropped without a lock
  bool forgotten = false;
  {
    MutexLock lock(&mutex_);
    deleting_.insert({tenant, name, info.version});
    removed = Exchange(tenant, name, std::nullopt);
    // Names of older versions go with it.
    std::erase_if(tenants_[tenant].replaced,
                  [&](const auto& replaced) { return replaced.first.first == name; });
    forgotten = !IsNamed(tenant, info.digest);
    removed->version->Retire();
    history_.Publish(CatalogEvent::Kind::kDeleting, info);
  }
  if (forgotten && forget_ != nullptr) forget_(tenant, info.digest);
  return info;
}

absl::StatusOr<const StoredCatalog::Entry*> StoredCatalog::FindOwn(const std::string& tenant,
                                                                   const std::string& name) const {
  if (const Entry* const entry = FindEntry(tenant, name); entry != nullptr) return entry;
  if (FindEntry(std::string(kSharedTenant), name) == nullptr) return NotThere(name);
  return absl::PermissionDeniedError(absl::StrCat(
      "adapter ", Quoted(name), ": expected one of the tenant's own, got a shared one"));
}

absl::StatusOr<AdapterInfo> StoredCatalog::SetPinned(const std::string& tenant,
                                                     const std::string& name, bool pinned,
                                                     std::optional<int64_t> if_version) {
  MutexLock commit(&commit_mutex_);
  Manifest manifest;
  {
    MutexLock lock(&mutex_);
    CHORUS_ASSIGN_OR_RETURN(const Entry* const entry, FindOwn(tenant, name));
    const int64_t version = entry->manifest.version;
    if (if_version.value_or(version) != version) return OtherVersion(name, *if_version, version);
    if (entry->manifest.pinned == pinned) return InfoOf(*entry);
    manifest = entry->manifest;
  }
  manifest.pinned = pinned;
  CHORUS_RETURN_IF_ERROR(versions_->store().PutManifest(manifest));
  MutexLock lock(&mutex_);
  Entry& entry = tenants_[tenant].names[name];
  entry.manifest.pinned = pinned;
  AdapterInfo info = InfoOf(entry);
  history_.Publish(CatalogEvent::Kind::kPinned, info);
  return info;
}

absl::StatusOr<AdapterInfo> StoredCatalog::CommitVersion(const UploadRequest& request,
                                                         const AdapterSpec& spec, ObjectName config,
                                                         ObjectName tensors) {
  MutexLock commit(&commit_mutex_);
  // Again, now that nobody can change it.
  CHORUS_ASSIGN_OR_RETURN(std::optional<AdapterInfo> retry, FindRetry(request, spec.digest));
  if (retry.has_value()) return *std::move(retry);
  Manifest manifest;
  manifest.tenant = request.tenant;
  manifest.name = request.name;
  manifest.created = absl::FromUnixNanos(absl::ToUnixNanos(clock_->Now()));
  manifest.digest = spec.digest;
  manifest.config = std::move(config);
  manifest.tensors = std::move(tensors);
  manifest.use_rslora = spec.use_rslora;
  manifest.invocation = spec.invocation;
  manifest.base_model_name_or_path = spec.base_model_name_or_path;
  manifest.warnings = spec.warnings;
  manifest.modules = ModuleRunsOf(spec);
  manifest.version = versions_->store().FirstVersion(request.tenant);
  {
    MutexLock lock(&mutex_);
    CHORUS_RETURN_IF_ERROR(CheckQuota(request));
    if (const Entry* const current = FindEntry(request.tenant, request.name)) {
      // The same content again under a damaged version heals it.
      const bool heals = current->manifest.digest == spec.digest;
      manifest.version = current->manifest.version + (heals ? 0 : 1);
      manifest.pinned = current->manifest.pinned;
    }
  }
  CHORUS_RETURN_IF_ERROR(versions_->store().PutManifest(manifest));
  std::shared_ptr<const StoredVersion> version = MakeVersion(manifest, spec);
  std::optional<Entry> replaced;  // dropped without a lock
  bool forgotten = false;
  AdapterInfo info;
  {
    MutexLock lock(&mutex_);
    Entry entry{std::move(manifest), std::move(version)};
    info = InfoOf(entry);
    replaced = Exchange(request.tenant, request.name, std::move(entry));
    forgotten = replaced.has_value() && !IsNamed(request.tenant, replaced->manifest.digest);
    if (replaced.has_value()) replaced->version->Retire();
    history_.Publish(CatalogEvent::Kind::kPut, info);
  }
  if (forgotten && forget_ != nullptr) forget_(request.tenant, replaced->manifest.digest);
  return info;
}

std::optional<StoredCatalog::Entry> StoredCatalog::Exchange(const std::string& tenant,
                                                            const std::string& name,
                                                            std::optional<Entry> entry) {
  Tenant& owner = tenants_[tenant];
  std::optional<Entry> old;
  if (const auto found = owner.names.find(name); found != owner.names.end()) {
    old = std::move(found->second);
    owner.names.erase(found);
    owner.bytes -= BytesOf(old->manifest);
    const auto names = owner.by_digest.find(old->manifest.digest);
    names->second.erase(name);
    if (names->second.empty()) owner.by_digest.erase(names);
  }
  if (!entry.has_value()) return old;
  if (old.has_value() && old->manifest.version != entry->manifest.version) {
    owner.replaced[{name, old->manifest.version}] = old->version;
  }
  owner.bytes += BytesOf(entry->manifest);
  owner.by_digest[entry->manifest.digest].insert(name);
  owner.names.emplace(name, *std::move(entry));
  return old;
}

bool StoredCatalog::IsNamed(const std::string& tenant, const AdapterDigest& digest) const {
  const auto owner = tenants_.find(tenant);
  return owner != tenants_.end() && owner->second.by_digest.contains(digest);
}

absl::StatusOr<std::unique_ptr<CatalogWatch>> StoredCatalog::Watch(const std::string& tenant,
                                                                   uint64_t since_revision) {
  MutexLock lock(&mutex_);  // nothing is published between the snapshot and the queue
  std::vector<AdapterInfo> snapshot;
  for (const std::string& owner : std::set<std::string>{tenant, std::string(kSharedTenant)}) {
    const auto found = tenants_.find(owner);
    if (found == tenants_.end()) continue;
    for (const auto& [name, entry] : found->second.names) snapshot.push_back(InfoOf(entry));
  }
  return history_.Watch(tenant, since_revision, std::move(snapshot));
}

void StoredCatalog::OnForget(std::function<void(const std::string&, const AdapterDigest&)> forget) {
  MutexLock commit(&commit_mutex_);
  forget_ = std::move(forget);
}

absl::Duration StoredCatalog::RunBackground() {
  const VersionStore::Reports reports = versions_->TakeReports();
  versions_->store().CollectGarbage();
  versions_->images().CollectGarbage();
  {
    MutexLock lock(&mutex_);
    for (const AdapterInfo& damaged : reports.damaged) {
      const Entry* const entry = FindEntry(damaged.tenant, damaged.name);
      if (entry == nullptr || entry->manifest.version != damaged.version) continue;
      history_.Publish(CatalogEvent::Kind::kPut, InfoOf(*entry));
    }
    for (AdapterInfo info : reports.ended) {
      tenants_[info.tenant].replaced.erase({info.name, info.version});
      if (deleting_.erase({info.tenant, info.name, info.version}) == 0) continue;
      info.state = AdapterState::kDeleting;
      history_.Publish(CatalogEvent::Kind::kDeleted, info);
    }
  }
  const StoreScrubber::Step step = scrubber_.Run();
  if (step.damaged.has_value()) MarkDamaged(*step.damaged);
  return step.wait;
}

void StoredCatalog::MarkDamaged(const std::string& sha256) {
  MutexLock lock(&mutex_);
  for (const auto& [tenant, owner] : tenants_) {
    for (const auto& [name, entry] : owner.names) {
      if (entry.version->damaged() || !entry.version->UsesObject(sha256)) continue;
      entry.version->SetDamaged();
      history_.Publish(CatalogEvent::Kind::kPut, InfoOf(entry));
    }
  }
}

void StoredCatalog::BackgroundLoop() {
  while (!stopping_) {
    const absl::Duration wait = RunBackground();
    if (wait > absl::ZeroDuration()) versions_->WaitForReports(std::min(wait, kLongestWait));
  }
}

}  // namespace chorus::engine
