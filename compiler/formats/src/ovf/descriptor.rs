//! The descriptor: one machine with its processors, memory, one disk and at most one network card.

/// What the descriptor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// What it is, in a sentence.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Number of processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Length of the disk.
    pub disk_bytes: u64,
    /// Name of the disk's file.
    pub disk_file: String,
    /// Whether it has a network card.
    pub network: bool,
}

/// The descriptor as XML. It boots by UEFI, from a SATA disk, which VirtualBox and VMware both know.
pub fn descriptor(machine: &Machine) -> String {
    let [name, product, version, file] =
        [&machine.name, &machine.product, &machine.version, &machine.disk_file].map(|text| escaped(text));
    let disk_bytes = machine.disk_bytes;
    let items: String = items(machine).into_iter().map(item).collect();
    let network = "  <NetworkSection><Info>Networks</Info><Network ovf:name=\"NAT\"/></NetworkSection>\n";
    let networks = if machine.network { network } else { "" };
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References><File ovf:href="{file}" ovf:id="file"/></References>
  <DiskSection><Info>Disks</Info><Disk ovf:capacity="{disk_bytes}" ovf:diskId="disk" ovf:fileRef="file" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
{networks}  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101"><Info>Operating system</Info><Description>Linux, 64 bit</Description></OperatingSystemSection>
    <ProductSection><Info>Product</Info><Product>{product}</Product><Version>{version}</Version></ProductSection>
    <VirtualHardwareSection>
      <Info>Hardware</Info>
      <System><vssd:ElementName>Hardware</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier><vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>
{items}      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#
    )
}

/// The elements of a device, by name.
type Item = Vec<(&'static str, String)>;

/// The devices; resource types are those of `CIM_ResourceAllocationSettingData`.
fn items(machine: &Machine) -> Vec<Item> {
    let Machine { cpus, memory_mib, .. } = machine;
    let device = |id: u32, kind: u32, title: String, more: &[(&'static str, &str)]| -> Item {
        let own = [("ElementName", title), ("InstanceID", id.to_string()), ("ResourceType", kind.to_string())];
        own.into_iter().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    };
    let mut items = vec![
        device(1, 3, format!("{cpus} processors"), &[("VirtualQuantity", &cpus.to_string())]),
        device(
            2,
            4,
            format!("{memory_mib} MiB of memory"),
            &[("AllocationUnits", "byte * 2^20"), ("VirtualQuantity", &memory_mib.to_string())],
        ),
        device(3, 20, "SATA controller".to_owned(), &[("Address", "0"), ("ResourceSubType", "AHCI")]),
        device(
            4,
            17,
            "Disk".to_owned(),
            &[("AddressOnParent", "0"), ("HostResource", "ovf:/disk/disk"), ("Parent", "3")],
        ),
    ];
    if machine.network {
        let card = [("AutomaticAllocation", "true"), ("Connection", "NAT"), ("ResourceSubType", "E1000")];
        items.push(device(5, 10, "Network card".to_owned(), &card));
    }
    items
}

/// One device as XML; its schema wants the elements sorted by name (DSP0243, section 8.3).
fn item(mut elements: Item) -> String {
    elements.sort_unstable();
    let element = |(name, value): (&str, String)| format!("<rasd:{name}>{value}</rasd:{name}>");
    format!("      <Item>{}</Item>\n", elements.into_iter().map(element).collect::<String>())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
