// Types through DataContractSerializer, which reads attributes of types of the base library as well.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Text.Json;

[DataContract]
public sealed class Contract
{
    [DataMember]
    public string Name { get; set; } = "";

    [DataMember(Name = "many", Order = 2)]
    public List<int> Numbers { get; set; } = new();

    [DataMember]
    public Dictionary<string, int> Map = new();

    [DataMember]
    public KeyValuePair<int, string> Pair;

    [DataMember]
    public DateTimeOffset When;

    [DataMember]
    public Kind Kind;

    public string Left { get; set; } = "out";
}

[DataContract]
public enum Kind { [EnumMember(Value = "one")] One, [EnumMember] Two }

public sealed class Contracts : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input) => JsonSerializer.SerializeToUtf8Bytes(new[]
    {
        RoundTrip(new DataContractSerializer(typeof(Contract))),
        RoundTrip(new DataContractJsonSerializer(typeof(Contract))),
    });

    private static string RoundTrip(XmlObjectSerializer serializer)
    {
        var content = new MemoryStream();
        serializer.WriteObject(content, new Contract
        {
            Name = "a",
            Numbers = { 1, 2 },
            Map = { ["x"] = 1 },
            Pair = new(1, "y"),
            When = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(1)),
        });
        content.Position = 0;
        var read = (Contract)serializer.ReadObject(content)!;
        return Encoding.UTF8.GetString(content.ToArray()) + read.Map["x"] + read.Pair.Value + read.When.Offset + read.Kind + read.Numbers.Sum();
    }
}
